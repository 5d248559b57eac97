"""Documents with ends: written from the zero state, one after the other, until the model ends them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from charpipe.api.loaded_model import LoadedModel
from charpipe.corpus.ends import END
from charpipe.errors import UsageError
from charpipe.evaluation import score_text
from charpipe.evaluation.scores import score
from charpipe.generation import (
    Position,
    SampleConfig,
    beam_search,
    generate,
    generate_scored,
    sample,
    sample_documents,
    sample_many,
    sample_some,
)
from charpipe.inspection.activations import read
from charpipe.kernels.jit.numba_functions import can_compile
from charpipe.models import Model, build_model, open_stream
from charpipe.models.held_units import hold
from charpipe.models.loaded import Loaded
from charpipe.text.ends import with_end_token
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from letters import Letters

LETTERS = END + "\nabcde"
ENGINES = ["plain", "arrays", *(["compiled"] if can_compile() else [])]
HOT = SampleConfig(length=60, temperature=1.0, seed=4)


def encoding_of(vocabulary: dict[str, Any]) -> Any:
    encoding: Any = Letters(LETTERS)
    return with_end_token(encoding, vocabulary, "the test")


def encode_all(self: Letters, text: str) -> np.ndarray[Any, Any]:
    return np.array([LETTERS.index(letter) for letter in text], np.uint8)


@pytest.fixture(autouse=True)
def _labels_are_no_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Letters, "encode", encode_all)
    monkeypatch.setattr(Letters, "decode", lambda self, ids, final=False: "".join(LETTERS[n] for n in ids))


@pytest.fixture(params=[lstm, gru], ids=["lstm", "gru"])
def loaded(request: pytest.FixtureRequest) -> Loaded:
    (one,) = request.param()
    vocabulary = {"tokenizer": "letters", "end_token": 0}
    model = build_model(one, one.config(hidden_size=10, layers=2), vocabulary, len(LETTERS))
    with torch.no_grad():
        for values in model.network.parameters():
            values.mul_(4)
    return Loaded("a run", model, encoding_of(vocabulary))


def without_ends(loaded: Loaded) -> Loaded:
    model = loaded.model
    assert isinstance(model, Model)
    network = build_model(
        lstm()[0] if model.architecture == "lstm" else gru()[0], model.config, {}, len(LETTERS)
    ).network
    network.load_state_dict(model.network.state_dict())
    return Loaded("other", replace(model, network=network, vocabulary={}), Letters(LETTERS))  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("prompt", ["", "ab"])
def test_a_sample_ends_where_the_model_ends_it(loaded: Loaded, engine: Any, prompt: str) -> None:
    """The same tokens as a model without ends writes after an end, up to the first end."""
    wanted = HOT.model_copy(update={"prompt": prompt, "engine": engine})
    position = Position()
    found = "".join(generate(loaded.predictor(), loaded.encoding, wanted, position=position))
    other = without_ends(loaded)
    free = wanted.model_copy(update={"prompt": END + prompt})
    whole = sample(other.predictor(), other.encoding, free).removeprefix(END + prompt)
    assert END in whole  # otherwise this shows nothing
    assert found == whole[: whole.index(END)]
    assert position.ended
    assert position.token == 0


def test_the_next_document_starts_from_the_zero_state(loaded: Loaded) -> None:
    rnn = LoadedModel(loaded)
    rnn.sample(length=60, seed=4, temperature=1.0)
    second = rnn.sample(length=60, seed=4, temperature=1.0)
    rnn.reset()
    assert rnn.sample(length=60, seed=4, temperature=1.0) == second


def test_documents_are_marked_and_the_first_is_the_sample(loaded: Loaded) -> None:
    predictor, encoding = loaded.predictor(), loaded.encoding
    found = sample_documents(predictor, encoding, 12, HOT)
    assert all(END not in document.text for document in found)
    assert found[0].text == sample(predictor, encoding, HOT)
    assert [document.text for document in found] == sample_many(predictor, encoding, 12, HOT)
    short = sample_documents(predictor, encoding, 12, HOT.model_copy(update={"length": 6}))
    for document, cut in zip(found, short, strict=True):
        assert document.text.startswith(cut.text)
        assert cut.ended == (document.ended and len(document.text) < 6)
    assert {document.ended_by for document in short} == {"model", "length"}


def test_documents_say_what_ended_them(loaded: Loaded) -> None:
    predictor, encoding = loaded.predictor(), loaded.encoding
    stopped = sample_documents(predictor, encoding, 30, HOT.model_copy(update={"stop": "e"}))
    whole = sample_documents(predictor, encoding, 30, HOT)
    for document, free in zip(stopped, whole, strict=True):
        assert document.ended_by == ("stop" if "e" in free.text else free.ended_by)
    assert {"model", "stop"} <= {document.ended_by for document in stopped}
    matched = HOT.model_copy(update={"decoders": {"regex": {"pattern": "[a-e]+"}}})
    found = sample_documents(predictor, encoding, 30, matched)
    assert {document.ended_by for document in found} == {"constraint"}
    assert not found[0].ended


def test_the_python_call_writes_documents_and_keeps_its_state(loaded: Loaded) -> None:
    rnn = LoadedModel(loaded)
    before = {name: value.clone() for name, value in rnn.state.items()}
    found = rnn.documents(3, "a", length=60, temperature=1.0, seed=4)
    assert all(document.text.startswith("a") for document in found)
    torch.testing.assert_close(dict(rnn.state), before)
    with pytest.raises(UsageError, match="not 0"):
        rnn.documents(0)


def test_a_model_without_ends_writes_no_documents(loaded: Loaded) -> None:
    other = without_ends(loaded)
    with pytest.raises(UsageError, match="its corpus has no ends"):
        sample_documents(other.predictor(), other.encoding, 2)
    with pytest.raises(UsageError, match="its corpus has no ends"):
        LoadedModel(other).documents(2)


def test_a_sample_to_look_at_has_several_documents(loaded: Loaded) -> None:
    found = sample_some(loaded.predictor(), loaded.encoding, HOT)
    assert END not in found
    assert found.startswith(sample(loaded.predictor(), loaded.encoding, HOT).removesuffix("\n") + "\n")
    assert len(found) <= HOT.length + 10


@pytest.mark.parametrize("engine", ENGINES)
def test_streams_start_anew_at_ends(loaded: Loaded, engine: Any) -> None:
    predictor = loaded.predictor()
    stream = open_stream(predictor, predictor.initial_state(1), engine)
    state = predictor.initial_state(1)
    for token in [0, 3, 4, 0, 2, 5, 0, 0, 3]:
        wanted, state = predictor.step(torch.tensor([token]), state)
        np.testing.assert_allclose(stream.step(token), wanted[0], rtol=1e-4, atol=1e-5)
    first = open_stream(predictor, predictor.initial_state(1), engine)
    np.testing.assert_allclose(stream.step(0), first.step(0), rtol=1e-5, atol=1e-6)


def test_inspection_starts_documents_anew(loaded: Loaded) -> None:
    predictor = loaded.predictor()
    joined = read(predictor, loaded.encoding, f"{END}abba{END}cad")
    alone = read(predictor, loaded.encoding, f"{END}cad")
    np.testing.assert_allclose(joined.bits[-3:], alone.bits[-3:], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(joined.units[-4:], alone.units, rtol=1e-5, atol=1e-6)


def test_documents_are_scored_alone_and_their_ends_with_them(loaded: Loaded) -> None:
    predictor, encoding = loaded.predictor(), loaded.encoding
    texts = ["abba", "cad", "e"]
    each = [score_text(predictor, encoding, text) for text in texts]
    together = score_text(predictor, encoding, END.join(texts))
    assert [one.tokens for one in each] == [5, 4, 2]
    assert together.tokens == 11
    nats = sum(one.nats * one.tokens for one in each)
    assert together.nats * 11 == pytest.approx(nats, rel=1e-5)
    tokens = encoding.encode(END + END.join(texts) + END)
    assert score(predictor, tokens, characters=8).nats == pytest.approx(together.nats, rel=1e-6)
    bits = nats / np.log(2) / 8
    assert together.bits_per_char == pytest.approx(bits * len(tokens) / 11, rel=1e-5)


def test_scored_texts_and_beams_end_with_the_document(loaded: Loaded) -> None:
    predictor, encoding = loaded.predictor(), loaded.encoding
    pieces = list(generate_scored(predictor, encoding, HOT))
    assert "".join(piece.text for piece in pieces) == sample(predictor, encoding, HOT)
    found = beam_search(predictor, encoding, 7, HOT)
    assert any(one.ended for one in found)
    for one in found:
        assert END not in one.text
        scored = score_text(predictor, encoding, one.text) if one.ended and one.text else None
        if scored is not None:
            assert one.log_probability == pytest.approx(-scored.nats * scored.tokens, rel=1e-4)


def test_held_units_start_documents_anew(loaded: Loaded) -> None:
    """A unit that is held at the value that it has anyway, in a window with ends inside."""
    predictor = loaded.predictor()
    ids = torch.tensor([[0], [3], [4], [0], [2], [5]])
    first = predictor.initial_state(1)
    both = [hold(predictor, {"1.0": 0.5}).score(each, first)[0] for each in (ids, ids[3:])]
    torch.testing.assert_close(both[0][3:], both[1])
