"""All engines sample the same text, and a text goes on from where it was left."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from charpipe.errors import RunError, UsageError
from charpipe.generation import Position, SampleConfig, generate, sample, samplers
from charpipe.generation.decoding import Decoding
from charpipe.models import build_model
from charpipe.plugin import Decoder
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from charpipe_rnn import charpipe_architectures as rnn
from letters import Letters

ARCHITECTURES = [item for hook in (rnn, lstm, gru) for item in hook()]
LABELS = "\nabcdefghij"
has_numba = samplers.can_compile()
ENGINES = ["plain", "arrays"] + ["compiled"] * has_numba


@pytest.fixture(params=ARCHITECTURES, ids=lambda item: item.name)
def predictor(request):
    architecture = request.param
    return build_model(
        architecture, architecture.config(hidden_size=24, layers=2), {}, len(LABELS)
    ).predictor()


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"temperature": 0},
        {"temperature": 1e-5},
        {"top_k": 3, "temperature": 1.5},
        {"top_p": 0.7, "prompt": "abc"},
        {"min_p": 0.2, "temperature": 1},
        {"top_k": 5, "top_p": 0.9, "min_p": 0.01, "temperature": 2, "seed": 9},
        {"stop": "aa"},
    ],
    ids=str,
)
def test_all_engines_sample_the_same_text(predictor, chosen):
    wanted = SampleConfig(length=700, **chosen)
    texts = {sample(predictor, Letters(LABELS), wanted.model_copy(update={"engine": one})) for one in ENGINES}
    assert len(texts) == 1


@pytest.mark.skipif(not has_numba, reason="compiled loops need numba")
@pytest.mark.parametrize("late", [False, True])
def test_text_is_the_same_for_any_number_of_threads(predictor, monkeypatch, late):
    """However many threads write, and where the first goes on alone because the others are late."""
    from charpipe.kernels.step import loops
    from charpipe.kernels.step import stream as compiled

    wanted, asked = SampleConfig(length=700, temperature=1.5, engine="compiled"), []
    plain_workers = compiled.CompiledStream._workers

    def workers(stream, threads):
        asked.append(threads)
        made = plain_workers(stream, threads)
        made[0].sleeps[0] += late * (loops.MAX_SLEEPS + 1)
        return made

    monkeypatch.setattr(compiled.CompiledStream, "_workers", workers)
    monkeypatch.setattr(compiled.BACKOFF, "is_over", lambda: True)
    monkeypatch.setattr(compiled.CompiledStream, "_choose_threads", lambda stream: stream.parts)
    texts = []
    for parts in (1, 2, 3):
        monkeypatch.setattr(compiled, "_part_count", lambda _, parts=parts: parts)
        texts.append(sample(predictor, Letters(LABELS), wanted))
    assert set(asked) == {1, 2, 3}
    assert len(set(texts)) == 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("first", [0, 1, 100, 437])
def test_two_halves_equal_the_whole_text(predictor, engine, first):
    whole = SampleConfig(length=600, engine=engine, prompt="ab")
    position = Position()
    text = "".join(
        generate(predictor, Letters(LABELS), whole.model_copy(update={"length": first}), position=position)
    )
    rest = whole.model_copy(update={"length": 600 - first, "prompt": ""})
    text += "".join(generate(predictor, Letters(LABELS), rest, position=position))
    assert "ab" + text == sample(predictor, Letters(LABELS), whole)


@pytest.mark.parametrize("engine", ENGINES)
def test_text_left_in_the_middle_goes_on(predictor, engine):
    whole = SampleConfig(length=600, engine=engine, stop="never to be seen")  # token by token
    position = Position()
    pieces = generate(predictor, Letters(LABELS), whole, position=position)
    text = "".join(islice(pieces, 201))
    pieces.close()
    rest = whole.model_copy(update={"length": 600 - len(text)})
    text += "".join(generate(predictor, Letters(LABELS), rest, position=position))
    assert text == sample(predictor, Letters(LABELS), whole)


@pytest.mark.skipif(not has_numba, reason="compiled loops need numba")
@settings(max_examples=60, deadline=None)
@given(some.lists(some.floats(-30, 30, width=32), min_size=5, max_size=5), some.data())
def test_compiled_decoders_equal_the_plugins(logits, data):
    from charpipe.kernels.step.decoders import apply_decoders, compile_formulas

    chosen = data.draw(
        some.fixed_dictionaries(
            {"temperature": some.floats(0.05, 5)},
            optional={
                "top_k": some.integers(1, 5),
                "top_p": some.floats(0.05, 1),
                "min_p": some.floats(0, 1),
                "greedy": some.booleans(),
            },
        )
    )
    decoding = Decoding(SampleConfig(**chosen), 5)
    scores = np.array(logits, np.float32).astype(np.float64)
    wanted = scores
    for choose in decoding.choices:
        wanted = choose(wanted)
    assert decoding.formulas is not None
    compiled = compile_formulas(decoding.formulas)
    assert compiled is not None
    apply_decoders(scores, *compiled)
    np.testing.assert_allclose(scores, wanted, rtol=1e-12)


def test_decoders_without_a_formula_are_called(predictor):
    def same(config, vocabulary_size):
        return lambda scores: scores

    known = {"same": Decoder("same", "changes nothing", same)}
    wanted = SampleConfig(length=200, temperature=1, decoders={"same": {}})
    assert Decoding(wanted, 3, known).formulas is None
    texts = {
        "".join(
            generate(predictor, Letters(LABELS), wanted.model_copy(update={"engine": one}), decoders=known)
        )
        for one in ENGINES
    }
    assert texts == {sample(predictor, Letters(LABELS), SampleConfig(length=200, temperature=1))}


@pytest.mark.skipif(not has_numba, reason="compiled loops need numba")
def test_damaged_model_raises_run_error(predictor):
    predictor.network.head.bias.data[3] = float("nan")
    with pytest.raises(RunError, match="not numbers"):
        sample(predictor, Letters(LABELS), SampleConfig(engine="compiled"))


def test_text_is_the_same_without_numba(predictor, monkeypatch):
    wanted = SampleConfig(length=300)
    before = sample(predictor, Letters(LABELS), wanted)
    monkeypatch.setattr(samplers, "can_compile", lambda: False)
    monkeypatch.setattr(samplers, "MIN_PRODUCTS", 0)
    assert sample(predictor, Letters(LABELS), wanted) == before
    with pytest.raises(UsageError, match="needs numba"):
        sample(predictor, Letters(LABELS), wanted.model_copy(update={"engine": "compiled"}))
