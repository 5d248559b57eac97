"""Durations, refused values, and the learning rate over a training."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from charpipe.config.settings.training import TrainConfig, parse_budget
from charpipe.errors import UsageError
from charpipe.training.schedules import learning_rate, momentum


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("2m", 120), ("1h", 3600), ("1h30m", 5400), ("45", 45), ("0.5 m", 30)]
)
def test_durations(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "2 minutes", "-1m", "0s", "1e9h", "nan", "99999d"])
def test_what_is_no_duration(text):
    with pytest.raises(UsageError):
        parse_budget(text)
    with pytest.raises(ValidationError):
        TrainConfig(budget=text)


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": float("nan")},
        {"clip": float("inf")},
        {"betas": (0.9, 1.0)},
        {"device": "gpu"},
        {"batch_size": 0},
        {"no_such_setting": 1},
    ],
)
def test_refused(values):
    with pytest.raises(ValidationError):
        TrainConfig(**values)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_the_rate_rises_then_falls_to_its_end(schedule):
    settings = TrainConfig(schedule=schedule, learning_rate=2.0, warmup=0.1, final_learning_rate=0.25)
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == pytest.approx(2.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(2.0 if schedule == "constant" else 0.5)


def test_one_cycle_goes_up_and_down_and_momentum_the_other_way():
    settings = TrainConfig(schedule="one-cycle", learning_rate=2.0, warmup=0.3)
    rates = [learning_rate(settings, step, 100) for step in range(100)]
    momenta = [momentum(settings, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(2.0 / 25, rel=0.2)
    assert rates.index(max(rates)) == momenta.index(min(momenta)) == 29
    assert (max(rates), min(momenta)) == (pytest.approx(2.0), pytest.approx(0.85))
    assert rates[-1] == pytest.approx(0.0)
    assert momenta[-1] == pytest.approx(0.95)
    assert momentum(TrainConfig(), 3, 100) is None


def test_by_epoch_falls_first_at_the_end_of_the_tenth_as_in_char_rnn():
    settings = TrainConfig(schedule="by-epoch", learning_rate=1.0, warmup=0.0)
    rates = [learning_rate(settings, step, 13 * 7, 7) for step in range(13 * 7)]
    assert rates[:70] == [1.0] * 70
    assert rates[70:77] == [0.97] * 7
    assert rates[84:] == [pytest.approx(0.97**3)] * 7
    early = settings.model_copy(update={"epoch_decay_after": 0.0, "epoch_decay": 0.5})
    assert [learning_rate(early, step, 9, 3) for step in (0, 3, 6)] == [1.0, 0.5, 0.25]


def test_one_step_and_no_warmup():
    assert learning_rate(TrainConfig(warmup=0.0, schedule="constant"), 0, 1) == TrainConfig().learning_rate
    assert learning_rate(TrainConfig(), 0, 1) >= 0


def test_settings_import_no_torch():
    code = "import sys, charpipe.training, charpipe.generation; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("name", ["steps", "max_epochs", "patience", "evaluate_every", "checkpoint_every"])
def test_more_than_any_machine_makes_is_refused(name):
    with pytest.raises(ValidationError, match="less than or equal to"):
        TrainConfig(**{name: 10**300})
