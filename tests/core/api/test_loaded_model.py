"""A model in Python: it reads, expects, writes and remembers, whatever kind of model it is."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import pytest
import torch

import charpipe
from charpipe.api.loaded_model import LoadedModel
from charpipe.models import build_model
from charpipe.models.loaded import Loaded
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry

EXAMPLES = Path(__file__).parents[3] / "examples"
TEXT = "\nabcdef"


def _load():
    return resolve(Registry().tokenizer("char").load)({"characters": TEXT, "nibbles": False})


class CountBasedPredictor:
    """A model without a network: after each character its successor, nine times in ten."""

    vocabulary_size = len(TEXT)

    def initial_state(self, batch_size):
        return {"last": torch.zeros(1, batch_size, 1)}

    def step(self, ids, state):
        wanted = (ids + 1) % self.vocabulary_size
        chances = torch.full((len(ids), self.vocabulary_size), 0.1 / (self.vocabulary_size - 1))
        chances[torch.arange(len(ids)), wanted] = 0.9
        return chances.log(), {"last": ids[None, :, None].float()}

    def score(self, ids, state):
        logits = torch.stack([self.step(row, state)[0] for row in ids[:-1]])
        return -logits.gather(2, ids[1:, :, None])[..., 0], self.step(ids[-2], state)[1]


class CountedModel:
    title, parameters = "counted", 0

    def predictor(self, device=None, precision="float32"):
        return CountBasedPredictor()


class CountedRun(Loaded):
    def predictor(self, device="auto"):
        return CountBasedPredictor()


@pytest.fixture(params=["learnt", "counted"])
def rnn(request):
    if request.param == "counted":
        return LoadedModel(CountedRun("a run", CountedModel(), _load()))
    lstm = Registry().architecture("lstm")
    return LoadedModel(Loaded("a run", build_model(lstm, lstm.config(hidden_size=9), {}, len(TEXT)), _load()))


def test_step_gives_a_distribution(rnn):
    expected = rnn.step("a")
    assert set(expected) == set(TEXT)
    assert math.isclose(sum(expected.values()), 1)
    assert list(expected.values()) == sorted(expected.values(), reverse=True)
    assert expected.likeliest == max(expected, key=expected.__getitem__)
    assert expected.probabilities[TEXT.index("b")] == expected["b"]
    assert 0 < expected.entropy < math.log2(len(TEXT)) + 1e-9
    assert repr(expected.likeliest) in str(expected).splitlines()[0]


def test_state_is_carried(rnn):
    rnn.step("abc")
    whole = rnn.step("d")
    rnn.reset()
    assert [rnn.step(one) for one in "abcd"][-1] == pytest.approx(whole, abs=1e-6)
    rnn.reset()
    state, logits = rnn.predictor().initial_state(1), None
    for token in rnn.encoding.encode("abcd"):
        logits, state = rnn.predictor().step(torch.tensor([int(token)]), state)
    rnn.step("abcd")
    for name, value in state.items():
        torch.testing.assert_close(rnn.state[name], value)
    assert whole.probabilities == pytest.approx(logits.softmax(-1)[0].numpy(), abs=1e-6)


def test_it_goes_on_from_a_state_kept(rnn):
    rnn.step("ab")
    kept = rnn.state
    first = rnn.sample(length=30)
    assert rnn.sample(length=30) != first
    rnn.state = kept
    assert rnn.sample(length=30) == first
    rnn.reset()
    rnn.step("ab")
    halves = rnn.sample(length=13) + rnn.sample(length=17)
    assert halves == first


def test_what_was_taken_from_a_stream_was_read(rnn):
    rnn.step("a")
    kept = rnn.state
    whole = rnn.sample(length=20)
    rnn.state = kept
    pieces = rnn.stream(length=20)
    begun = "".join(next(pieces) for _ in range(8))
    pieces.close()
    assert begun + rnn.sample(length=12) == whole


def test_a_state_of_one_s_own(rnn):
    rnn.step("abc")
    changed = rnn.state.copy()
    name = next(iter(changed))
    changed[name][...] = 0.25
    rnn.state = changed
    assert torch.equal(rnn.state[name], changed[name])
    changed[name][...] = 7
    assert rnn.state[name].unique().tolist() == [0.25]
    rnn.step("a")
    assert len(rnn.sample(length=5)) == 5
    with pytest.raises(charpipe.CharpipeError, match="but the one given is"):
        rnn.state = {name: torch.zeros(3, 1, 1000)}


def test_bits_per_char(rnn):
    rnn.step("abc")
    before = rnn.state
    bits = rnn.bits_per_char("abcdef")
    assert torch.equal(before[next(iter(before))], rnn.state[next(iter(before))])
    by_hand, wanted = 0.0, rnn
    wanted.reset()
    for one, after in zip("abcde", "bcdef", strict=True):
        by_hand -= math.log2(wanted.step(one)[after])
    # bits are told for every character of the text, of which the first is not foreseen
    assert bits == pytest.approx(by_hand / 5, rel=1e-4)


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda rnn: rnn.step(""), "at least one character"),
        (lambda rnn: rnn.step("x"), "'x'"),
        (lambda rnn: rnn.sample("ax"), "'x'"),
        (lambda rnn: rnn.sample(temperature=-1), "temperature: .* not -1"),
        (lambda rnn: rnn.sample(temperature=float("nan")), "temperature: .* not nan"),
        (lambda rnn: rnn.sample(top_k=8), "top-k is 8, but the vocabulary has 7"),
        (lambda rnn: rnn.sample(temprature=1), "did you mean 'temperature'"),
        (lambda rnn: rnn.bits_per_char("a"), "two characters or more"),
    ],
)
def test_what_does_not_fit_is_said(rnn, use, said):
    with pytest.raises(charpipe.CharpipeError, match=said):
        use(rnn)


@pytest.mark.filterwarnings("error")
def test_unknown_characters_are_skipped_on_request(rnn):
    with pytest.warns(UserWarning, match=r"skipped 2 characters .*'x' \(U\+0078\) once, 'y'"):
        skipping = rnn.bits_per_char("abxcdyef", strict=False)
    assert skipping == rnn.bits_per_char("abcdef")
    with pytest.warns(UserWarning, match="skipped 1 character"):
        first = rnn.step("axb", strict=False)
    rnn.reset()
    assert list(first.probabilities) == list(rnn.step("ab").probabilities)
    rnn.reset()
    with pytest.warns(UserWarning, match="skipped 1 character"):
        written = rnn.sample("axb", length=5, seed=1, strict=False)
    rnn.reset()
    assert written == rnn.sample("ab", length=5, seed=1)
    with pytest.warns(UserWarning), pytest.raises(charpipe.CharpipeError, match="at least one character"):
        rnn.step("x", strict=False)


def test_the_example_runs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "state.py"))
    shown = capsys.readouterr().out
    assert "after 'h':\n     'e'" in shown
    assert "it goes on with 'lo'\nand again with  'lo'" in shown
    assert "written: e|l|l|o" in shown
