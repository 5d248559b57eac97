"""Beam search finds the most probable texts, and says how probable they are."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from charpipe.errors import UsageError
from charpipe.generation import SampleConfig, beam_search
from charpipe.generation.scored import log_softmax
from charpipe.models import build_model
from charpipe_lstm import charpipe_architectures
from letters import Letters

(LSTM,) = charpipe_architectures()
LABELS = "\nabc"


@pytest.fixture
def predictor():
    found = build_model(LSTM, LSTM.config(hidden_size=9), {}, len(LABELS)).predictor()
    with torch.no_grad():
        found.network.head.weight.mul_(8)  # predictions that differ clearly
    return found


def log_probability(predictor, prompt, text):
    ids = torch.from_numpy(Letters(LABELS).encode(prompt + text).astype("int64"))[:, None]
    nats, _ = predictor.score(ids, predictor.initial_state(1))
    return -float(nats[len(prompt) - 1 :].sum())


def regex(pattern):
    return {"decoders": {"regex": {"pattern": pattern}}}


def test_widest_beam_finds_the_most_probable_texts(predictor):
    """A beam as wide as the vocabulary, on texts of two characters, misses none of the best."""
    found = beam_search(predictor, Letters(LABELS), 4, SampleConfig(prompt="a", length=2))
    pairs = ["".join(pair) for pair in itertools.product(LABELS, repeat=2)]
    best = sorted(pairs, key=lambda text: -log_probability(predictor, "a", text))[:4]
    assert [one.text for one in found] == best
    for one in found:
        assert one.log_probability == pytest.approx(log_probability(predictor, "a", one.text), abs=1e-4)
        assert one.per_character == pytest.approx(one.log_probability / 2)
        assert not one.ended


def test_beam_of_one_is_greedy(predictor):
    (one,) = beam_search(predictor, Letters(LABELS), 1, SampleConfig(prompt="ab", length=30))
    text, state = "", predictor.initial_state(1)
    for token in Letters(LABELS).encode("ab"):
        logits, state = predictor.step(torch.tensor([int(token)]), state)
    for _ in range(30):
        token = int(logits.argmax())
        text += LABELS[token]
        logits, state = predictor.step(torch.tensor([token]), state)
    assert one.text == text


def test_wider_beam_is_never_worse(predictor):
    scores = [
        beam_search(predictor, Letters(LABELS), width, SampleConfig(prompt="a", length=12))[0].log_probability
        for width in (1, 4)
    ]
    assert scores[1] >= scores[0] - 1e-6


def test_texts_end_before_the_stop_text_and_count_it(predictor):
    found = beam_search(predictor, Letters(LABELS), 4, SampleConfig(prompt="a", length=40, stop=["b", "c\n"]))
    ended = [one for one in found if one.ended]
    assert ended
    assert [one.ended for one in found] == sorted((one.ended for one in found), reverse=True)
    assert all("b" not in one.text and "c\n" not in one.text for one in found)
    for one in ended:
        stops = [stop for stop in ("b", "c\n") if len(one.text + stop) == one.characters]
        scores = [log_probability(predictor, "a", one.text + stop) for stop in stops]
        assert any(score == pytest.approx(one.log_probability, abs=1e-3) for score in scores)


def test_texts_end_before_the_end_of_their_document(predictor):
    """As before a stop text of one character, whose probability counts, and which is no character; a document begins
    after an end."""
    encoding, settings = Letters(LABELS), SampleConfig(prompt="a", length=12)
    after_end = settings.model_copy(update={"prompt": "ba", "stop": "b"})
    wanted = beam_search(predictor, encoding, 4, after_end)
    encoding.end_token = LABELS.index("b")
    found = beam_search(predictor, encoding, 4, settings)
    assert found == [replace(one, characters=len(one.text)) for one in wanted]
    assert any(one.ended for one in found)


def test_constrained_texts_match_and_have_the_probability_of_their_end(predictor):
    found = beam_search(predictor, Letters(LABELS), 3, SampleConfig(prompt="a", length=9, **regex("[ab]c?")))
    assert {one.text for one in found} <= {"a", "b", "ac", "bc"}
    assert len({one.text for one in found}) == 3
    for one in found:
        wanted = log_probability(predictor, "a", one.text)
        if len(one.text) == 1:  # it ends there unless a c follows
            wanted += math.log(1 - math.exp(log_probability(predictor, "a" + one.text, "c")))
        assert one.log_probability == pytest.approx(wanted, abs=1e-3)
        assert one.ended


@pytest.mark.parametrize(
    ("width", "words"), [(5, "wider than the vocabulary, which has 4"), (0, "1 or more")]
)
def test_impossible_widths_are_refused(predictor, width, words):
    with pytest.raises(UsageError, match=words):
        beam_search(predictor, Letters(LABELS), width, SampleConfig(length=3))


def test_decoders_that_only_change_draws_are_refused(predictor):
    settings = SampleConfig(length=3, decoders={"min-p": {"p": 0.1}})
    with pytest.raises(UsageError, match="leave out the decoders"):
        beam_search(predictor, Letters(LABELS), 2, settings)


def test_settings_of_draws_do_not_change_the_result(predictor):
    plain = SampleConfig(prompt="a", length=5)
    other = plain.model_copy(update={"temperature": 2.0, "top_k": 1, "seed": 9})
    assert beam_search(predictor, Letters(LABELS), 2, plain) == beam_search(
        predictor, Letters(LABELS), 2, other
    )


def test_log_softmax_sums_to_one():
    found = log_softmax(torch.tensor([[1.0, 2.0, 900.0]]).numpy())
    assert math.exp(found[0, 2]) == pytest.approx(1)
