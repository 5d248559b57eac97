"""The tables against counting done the slow way, straight from the formulas; and what is altered is refused."""

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from charpipe.errors import RunError
from charpipe.evaluation import score
from charpipe.events import Notice
from charpipe.models import load_model, save_model
from charpipe.models.fitted import FittedModel
from charpipe.testing import check_architecture
from charpipe_ngram import NgramConfig, charpipe_architectures, tuning
from charpipe_ngram.fitting import fit
from charpipe_ngram.smoothing import discounts

(NGRAM,) = charpipe_architectures()
TEXT = "the quick brown fox jumps over the lazy dog, and the dog sleeps on the quiet box. "
LETTERS = sorted(set(TEXT))


def count(tokens, vocabulary, heard=None, **config):
    counting = fit(NgramConfig(**config), vocabulary, np.array(tokens, np.uint8))
    while True:
        try:
            event = next(counting)
        except StopIteration as end:
            return end.value
        if heard is not None:
            heard.append(event)


class ByFormula:
    """Interpolated modified Kneser-Ney (Chen and Goodman 1999), or shares of the longest context seen."""

    def __init__(self, tokens, order, vocabulary, smooth):
        self.order, self.vocabulary, self.smooth = order, vocabulary, smooth
        padded = [-1] * order + list(tokens)
        raw = [Counter() for _ in range(order + 1)]
        for place in range(order, len(padded)):
            for length in range(order + 1):
                raw[length][tuple(padded[place - length : place + 1])] += 1
        self.followed = []
        for length in range(order):
            counts = raw[length]
            if smooth and length < order - 1:
                counts = Counter(gram[1:] for gram in raw[length + 1])
            by_context = defaultdict(dict)
            for gram, number in counts.items():
                by_context[gram[:-1]][gram[-1]] = number
            taken = discounts(np.array(list(counts.values()))) if smooth else np.zeros(4)
            self.followed.append((by_context, taken))

    def chances(self, context):
        found = np.full(self.vocabulary, 1 / self.vocabulary)
        for length in range(min(self.order - 1, len(context)) + 1):
            by_context, taken = self.followed[length]
            counts = by_context.get(tuple(context[len(context) - length :]))
            if counts is None:
                break
            total = sum(counts.values())
            found = found * sum(taken[min(number, 3)] for number in counts.values()) / total
            for token, number in counts.items():
                found[token] += (number - taken[min(number, 3)]) / total
        return found


texts = st.lists(st.integers(0, 3), min_size=2, max_size=60)


@settings(max_examples=60, deadline=None)
@given(tokens=texts, read=texts, order=st.integers(1, 7), smooth=st.booleans())
def test_chances_are_those_of_the_formulas(tokens, read, order, smooth):
    smoothing = "kneser-ney" if smooth else "none"
    predictor = count(tokens, 5, order=order, smoothing=smoothing)
    slowly = ByFormula(tokens, order, 5, smooth)
    state = predictor.initial_state(1)
    for place, token in enumerate(read):
        logits, state = predictor.step(torch.tensor([token]), state)
        expected = slowly.chances(read[: place + 1])
        np.testing.assert_allclose(logits[0].exp().numpy(), expected, atol=1e-5)
        assert logits[0].exp().sum().item() == pytest.approx(1, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(tokens=texts, order=st.integers(1, 20))
def test_many_contexts_are_each_as_one_alone(tokens, order):
    predictor = count(tokens, 4, order=order)
    ids = torch.tensor([tokens, tokens[::-1], tokens[1:] + tokens[:1]]).T
    together, alone = predictor.initial_state(3), [predictor.initial_state(1) for _ in range(3)]
    nats, read = predictor.score(ids, predictor.initial_state(3))
    for place, row in enumerate(ids[:-1]):
        logits, together = predictor.step(row, together)
        for lane in range(3):
            single, alone[lane] = predictor.step(row[lane : lane + 1], alone[lane])
            torch.testing.assert_close(single[0], logits[lane], rtol=1e-5, atol=1e-5)
        expected = -logits.gather(1, ids[place + 1][:, None])[:, 0]
        torch.testing.assert_close(nats[place], expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(read["context"], together["context"])


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"order": 1},
        {"order": 20},
        {"smoothing": "none"},
        {"order": 3, "smoothing": "none"},
        {"max_tokens": 90},
    ],
)
def test_keeps_the_contract(config):
    check_architecture(NGRAM, **config)


def test_discounts_are_chen_and_goodmans():
    counts = np.array([1] * 10 + [2] * 4 + [3] * 2 + [4])
    share = 10 / 18
    expected = [0, 1 - 2 * share * 4 / 10, 2 - 3 * share * 2 / 4, 3 - 4 * share * 1 / 2]
    np.testing.assert_allclose(discounts(counts), expected)


def test_tuned_discounts_foresee_better_than_estimates():
    drawn = np.random.default_rng(5)
    words = [drawn.integers(0, 6, drawn.integers(2, 7)).tolist() for _ in range(300)]
    tokens = [token for word in drawn.zipf(1.3, 9000) % 300 for token in (*words[word], 6)]
    training, held = tokens[:-6000], np.array(tokens[-6000:], np.uint8)
    assert len(training) > tuning.FEWEST
    tuned, estimated = (count(training, 7, order=8, discounts=how) for how in ("tuned", "estimated"))
    assert score(tuned, held).nats < score(estimated, held).nats
    logits, _ = tuned.step(torch.tensor([6]), tuned.initial_state(1))
    assert logits.exp().sum().item() == pytest.approx(1, abs=1e-5)
    again = count(training, 7, order=8)
    assert all(torch.equal(again.tensors()[name], values) for name, values in tuned.tensors().items())


def test_too_short_a_text_is_not_tuned_on():
    assert tuning.held_out(tuning.FEWEST - 1) == 0
    assert tuning.held_out(tuning.FEWEST) == tuning.FEWEST * tuning.HELD_OUT
    assert tuning.held_out(10**9) == tuning.MOST


def test_words_that_fit_no_machine_word_are_sorted_too():
    tokens = np.random.default_rng(3).integers(0, 2, 300).tolist()
    wide, narrow = (
        count(tokens, 256, order=20, smoothing="none"),
        count(tokens, 2, order=20, smoothing="none"),
    )
    ids = torch.tensor(tokens)[:, None]
    first, _ = wide.score(ids, wide.initial_state(1))
    second, _ = narrow.score(ids, narrow.initial_state(1))
    assert torch.equal(first, second)


def test_large_vocabularies():
    tokens = np.array([70_000, 5, 70_000, 6] * 20, np.uint32)
    counting = fit(NgramConfig(order=4), 70_001, tokens)
    while True:
        try:
            next(counting)
        except StopIteration as end:
            predictor = end.value
            break
    logits, _ = predictor.step(torch.tensor([6]), predictor.initial_state(1))
    assert logits[0].argmax().item() == 70_000


def test_unsmoothed_what_was_never_seen_is_impossible_and_told_as_such():
    predictor = count([0, 1, 0, 1, 0, 1], 3, order=2, smoothing="none")
    found = score(predictor, np.array([0, 1, 2, 0, 1], np.uint8), characters=5, utf8_bytes=5)
    assert found.nats == float("inf")
    assert found.metrics("test") == {"test/impossible_tokens": 1}


def test_smoothed_nothing_is_impossible():
    predictor = count([0, 1, 0, 1, 0, 1], 3, order=3)
    assert np.isfinite(score(predictor, np.array([2, 2, 0, 2, 1], np.uint8)).nats)


@pytest.mark.parametrize("tokens", [[0], [0, 0], [0] * 50])
@pytest.mark.parametrize("order", [1, 2, 20])
def test_a_vocabulary_of_one(tokens, order):
    predictor = count(tokens, 1, order=order)
    logits, _ = predictor.step(torch.tensor([0]), predictor.initial_state(1))
    assert logits.exp().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("order", [0, 21])
def test_orders_that_there_are_not(order):
    with pytest.raises(ValidationError, match="order"):
        NgramConfig(order=order)


def test_a_long_text_is_cut_and_that_is_told():
    heard = []
    predictor = count([0] * 50 + [1, 2] * 10, 3, heard, order=2, max_tokens=20)
    assert "last 20 of 70" in heard[0].message and isinstance(heard[0], Notice)
    logits, _ = predictor.step(torch.tensor([1]), predictor.initial_state(1))
    assert logits[0].argmax().item() == 2


ALTERATIONS = {
    "child_start": lambda values: values.fill_(10**6),
    "child_token": lambda values: values.fill_(200),
    "entry_start": lambda values: values.neg_(),
    "entry_token": lambda values: values.fill_(255),
    "entry_weight": lambda values: values.fill_(float("nan")),
    "backoff": lambda values: values.fill_(-1),
    "place": lambda values: values.fill_(10**6),
    "text": lambda values: values.fill_(250),
    "discount": lambda values: values.fill_(2),
    "sizes": lambda values: values.fill_(-1),
}


@pytest.mark.parametrize("name", ALTERATIONS)
def test_altered_tensors_are_refused(tmp_path, name):
    config = NgramConfig(order=4)
    tokens = [LETTERS.index(letter) for letter in TEXT]
    predictor = count(tokens, len(LETTERS), order=4)
    tensors = {key: values.clone() for key, values in predictor.tensors().items()}
    ALTERATIONS[name](tensors[name])
    predictor.tensors = lambda: tensors
    save_model(FittedModel(predictor, "ngram", config, {}, len(LETTERS)), tmp_path)
    with pytest.raises(RunError, match=f"{name}.*nothing was loaded"):
        load_model(tmp_path, {"ngram": NGRAM})


def test_another_order_is_refused(tmp_path):
    predictor = count([0, 1] * 20, 2, order=4)
    save_model(FittedModel(predictor, "ngram", NgramConfig(order=5), {}, 2), tmp_path)
    with pytest.raises(RunError, match="discount"):
        load_model(tmp_path, {"ngram": NGRAM})
