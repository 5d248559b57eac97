"""Sampling: by prompt, length, temperature and seed, in pieces."""

import numpy as np
import pytest
import torch

from charpipe.errors import RunError, UsageError
from charpipe.generation import SampleConfig, generate, sample, sample_many
from charpipe.generation.decoding import Decoding
from charpipe.models import build_model
from charpipe.plugin import Decoder, Options
from charpipe_lstm import charpipe_architectures
from letters import Letters

(LSTM,) = charpipe_architectures()


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


def drawn(count=20_000, **settings):
    decoding = Decoding(SampleConfig(**settings), 3)
    logits = np.array([0.0, 1.0, 2.0], np.float32)
    return np.bincount([decoding.draw(logits) for _ in range(count)], minlength=3) / count


def test_temperature():
    assert drawn(50, temperature=0).tolist() == [0, 0, 1]
    assert drawn(50, temperature=1e-8).tolist() == [0, 0, 1]
    for temperature in (0.5, 1.0, 4.0):
        wanted = torch.tensor([0.0, 1.0, 2.0]).div(temperature).softmax(0).numpy()
        np.testing.assert_allclose(drawn(temperature=temperature), wanted, atol=0.02)


def test_decoders_follow_each_other():
    assert drawn(50, greedy=True, temperature=5).tolist() == [0, 0, 1]
    np.testing.assert_allclose(drawn(temperature=1, top_k=2), [0, 0.269, 0.731], atol=0.02)
    # at temperature 4 two characters are needed for a share of a half, as learnt only one
    assert drawn(50, temperature=1, top_p=0.6).tolist() == [0, 0, 1]
    assert drawn(500, temperature=4, top_p=0.6)[1] > 0.2
    assert drawn(50, temperature=1, min_p=0.5).tolist() == [0, 0, 1]


def test_a_decoder_of_one_s_own():
    class Ban(Options):
        token: int

    def ban(config, vocabulary_size):
        def choose(scores):
            scores = scores.copy()
            scores[..., config.token] = -np.inf
            return scores

        return choose

    settings = SampleConfig(temperature=1, decoders={"ban": {"token": 2}})
    decoding = Decoding(settings, 3, {"ban": Decoder("ban", "leaves one out", ban, Ban)})
    assert {decoding.draw(np.zeros(3, np.float32)) for _ in range(50)} == {0, 1}
    with pytest.raises(UsageError, match="there is no decoder 'bann'; did you mean 'ban'"):
        Decoding(SampleConfig(temperature=1, decoders={"bann": {}}), 3, {"ban": decoding})
    with pytest.raises(UsageError, match=r"sample\.decoders\.top-k\.k"):
        Decoding(SampleConfig(decoders={"top-k": {"k": "many"}}), 3)


def test_scores_that_are_no_numbers():
    with pytest.raises(RunError, match="not numbers"):
        Decoding(SampleConfig(), 3).draw(np.full(3, np.nan, np.float32))


def test_bad_settings_are_said_before_anything_is_written(predictor):
    with pytest.raises(UsageError, match="top-k is 8, but the vocabulary has 7"):
        generate(predictor, Letters(), SampleConfig(top_k=8))


@pytest.mark.parametrize("labels", ["\nabcdef", "abcdefg"])
@pytest.mark.parametrize(
    "settings", [{}, {"prompt": "abc"}, {"stop": "ab", "temperature": 2}, {"top_k": 3}], ids=str
)
def test_many_texts_side_by_side(predictor, labels, settings):
    wanted = SampleConfig(length=60, **settings)
    texts = sample_many(predictor, Letters(labels), 5, wanted)
    assert texts[0] == sample(predictor, Letters(labels), wanted)
    assert texts[:2] == sample_many(predictor, Letters(labels), 2, wanted)
    assert len(set(texts)) > 1


@pytest.mark.parametrize("stop", ["a", "cd", "abab", "\n"])
def test_it_stops_before_the_text_that_ends_it(predictor, stop):
    settings = SampleConfig(length=400, temperature=1.5)
    whole = sample(predictor, Letters("\nabcd123"[:7]), settings)
    stopped = sample(predictor, Letters("\nabcd123"[:7]), settings.model_copy(update={"stop": stop}))
    assert stopped == whole.partition(stop)[0]
