"""Calls in processes of their own: the protocol, with workers that are a few lines long."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from charpipe.events import Evaluated, Event, Listener, OfTrial, StageFinished, Step, TrainingStarted
from charpipe.stages import Stop
from charpipe.stages.context import ignore
from charpipe.stages.processes import Outcome, named, run_process

STARTED = TrainingStarted("a-run", 0, 9, "cpu", "float32", 12, "rnn 1x8")
START = "import json, os, signal, sys, time\nrequest = json.loads(sys.stdin.readline())\n"
TELL = "def tell(**value): print(json.dumps(value), flush=True)\n"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a worker of these lines; returns the outcome and the events."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def run(
        lines: str, stop: Stop | None = None, also: Listener = ignore, **request: Any
    ) -> tuple[Outcome, list[Event]]:
        (tmp_path / "a_worker.py").write_text(START + TELL + lines)
        heard: list[Event] = []

        def hear(event: Event) -> None:
            heard.append(event)
            also(event)

        request = {"threads": 3, "folder": str(tmp_path), **request}
        return run_process("a_worker", request, hear, stop or Stop()), heard

    return run


def test_the_request_comes_in_and_events_and_the_result_come_out(work: Any) -> None:
    lines = """
tell(event="step", step=1, steps=2, loss=0.5, learning_rate=0.1, tokens=8, seconds=0.25)
tell(event="an_event_of_a_plugin", of=1)
tell(result={"twice": 2 * request["number"], "threads": os.environ["OMP_NUM_THREADS"], "folder": os.getcwd()})
"""
    outcome, heard = work(lines, number=21)
    assert outcome.result is not None
    assert (outcome.result["twice"], outcome.result["threads"]) == (42, "3")
    assert heard == [Step(1, 2, 0.5, 0.1, 8, 0.25)]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL; the machine may be out of memory"),
        ("raise ValueError('not like this')", "exit code 1: ValueError: not like this"),
        ('sys.stdout.write(\'{"event": "st\'); sys.exit(4)', "exit code 4"),
    ],
)
def test_a_dead_process_has_a_reason_and_the_run_it_began(work: Any, lines: str, reason: str) -> None:
    outcome, heard = work(f"tell(**{STARTED.to_json()!r})\n" + lines)
    assert (outcome.result, outcome.run) == (None, "a-run")
    assert reason in outcome.reason
    assert heard == [STARTED]


def test_a_stop_is_a_sigterm_to_the_process(work: Any) -> None:
    lines = """
def end(*_):
    tell(stopped="saved")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
tell(event="notice", message="ready")
time.sleep(600)
"""
    stop = Stop()
    outcome, _ = work(lines, stop, lambda event: stop.request(15))  # once it is ready
    assert outcome.stopped == "saved"


def test_events_of_a_training_are_marked_with_their_trial() -> None:
    heard: list[Event] = []
    emit = named("rnn 1x8", heard.append)
    evaluated, finished = Evaluated(3, {"val/loss": 1.0}), StageFinished("rnn 1x8", "3 steps", 0.5)
    emit(evaluated)
    emit(finished)
    assert heard == [OfTrial("rnn 1x8", evaluated), finished]


def test_this_process_keeps_its_environment(work: Any) -> None:
    before = dict(os.environ)
    work("tell(result={})")
    assert dict(os.environ) == before
