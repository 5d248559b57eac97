from __future__ import annotations

import json

import pytest

from charpipe.events import (
    Event,
    Finished,
    Notice,
    OfTrial,
    Sampled,
    StageFinished,
    StagesPlanned,
    Step,
    TrainingStarted,
    event_from_json,
)

EVENTS = [
    Step(3, None, 1.25, 6e-3, 512, 0.125, budget_left=59.5),
    StagesPlanned(("rnn 1x8", "gru 1x8")),
    Sampled(3, "ab", "c", (0.25, 7.5)),
    StageFinished("train", "3 steps", 0.25, skipped=True, facts={"run": "a"}),
    TrainingStarted("a", 0, 3, "cpu", "float32", 12, "rnn 1x8"),
    Finished(3, "steps", 0.5, {"val/loss": 1.5}),
    OfTrial("gru 1x8", Finished(3, "steps", 0.5)),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_survives_json(event: Event) -> None:
    assert event_from_json(json.loads(json.dumps(event.to_json()))) == event


def test_json_of_a_trials_event_names_event_and_trial() -> None:
    value = OfTrial("gru 1x8", Notice("so", "warning")).to_json()
    assert value == {"event": "notice", "message": "so", "level": "warning", "trial": "gru 1x8"}


def test_an_unknown_event_is_none() -> None:
    assert event_from_json({"event": "of_another_plugin", "number": 3}) is None
