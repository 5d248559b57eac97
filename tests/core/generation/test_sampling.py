"""Sampling: by prompt, length, temperature and seed, in pieces."""

import numpy as np
import pytest
import torch

from charpipe.errors import UsageError
from charpipe.generation import SampleConfig, generate, sample
from charpipe.generation.sampling import choose
from charpipe.models import build_model
from charpipe_lstm import charpipe_architectures

(LSTM,) = charpipe_architectures()


class Letters:
    def __init__(self, labels="\nabcdef"):
        self.labels, self.size = list(labels), len(labels)

    def encode(self, text):
        for letter in text:
            if letter not in self.labels:
                raise UsageError(f"{letter!r} is not in the vocabulary")
        return np.array([self.labels.index(letter) for letter in text], dtype=np.uint8)

    def decoder(self):
        return self

    def decode(self, ids, final=False):
        return "".join(self.labels[number] for number in ids)


@pytest.fixture
def predictor():
    return build_model(LSTM, LSTM.config(hidden_size=9), {}, 7).predictor()


def test_length_seed_and_prompt(predictor):
    settings = SampleConfig(length=50, prompt="abc", temperature=2, seed=3)
    text = sample(predictor, Letters(), settings)
    assert text.startswith("abc")
    assert len(text) == 53
    assert sample(predictor, Letters(), settings) == text
    assert sample(predictor, Letters(), settings.model_copy(update={"seed": 4})) != text
    free = settings.model_copy(update={"seed": None})
    assert sample(predictor, Letters(), free) != sample(predictor, Letters(), free)


def test_a_longer_sample_begins_with_the_shorter(predictor):
    short, long = (sample(predictor, Letters(), SampleConfig(length=n, prompt="a")) for n in (20, 40))
    assert long.startswith(short)


def test_pieces_come_as_they_are_written(predictor):
    pieces = list(generate(predictor, Letters(), SampleConfig(length=7, prompt="a")))
    assert [len(piece) for piece in pieces] == [1] * 7


def test_stopping(predictor):
    assert len(list(generate(predictor, Letters(), SampleConfig(length=10**8), stop=lambda: True))) == 1


@pytest.mark.parametrize("labels", ["\nabcdef", "abcdefg"])
@pytest.mark.parametrize("length", [0, 1, 30])
def test_without_a_prompt(predictor, labels, length):
    assert len(sample(predictor, Letters(labels), SampleConfig(length=length))) == length


def test_an_unknown_character_is_named(predictor):
    with pytest.raises(UsageError, match=r"'\?'"):
        sample(predictor, Letters(), SampleConfig(prompt="a?"))


def test_a_long_prompt_is_read_like_its_steps(predictor):
    prompt = "abcdef" * 400
    state = predictor.initial_state(1)
    for token in Letters().encode(prompt):
        logits, state = predictor.step(torch.tensor([int(token)]), state)
    wanted = Letters().labels[int(logits.argmax())]
    assert sample(predictor, Letters(), SampleConfig(length=1, prompt=prompt, temperature=0))[-1] == wanted


def test_temperature():
    logits = torch.tensor([[0.0, 1.0, 2.0]]).repeat(20_000, 1)
    generator = torch.Generator().manual_seed(0)
    assert choose(logits, 0, generator).unique().tolist() == [2]
    assert choose(logits, 1e-8, generator).unique().tolist() == [2]
    for temperature in (0.5, 1.0, 4.0):
        counts = choose(logits, temperature, generator).bincount(minlength=3) / 20_000
        torch.testing.assert_close(counts, (logits[0] / temperature).softmax(0), atol=0.02, rtol=0)
