"""A run that one machine trained is found, resumed and sampled on another, from the shared store alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import Machine, stop_after, train, train_and_score, weights

from charpipe.errors import InterruptedRun
from charpipe.events import TrainingStarted

Machines = Callable[[str], Machine]


def steps_of(store: Path, run: str, attempt: int) -> list[str]:
    folder = store / "runs" / run / f"attempt-{attempt}" / "checkpoints"
    return sorted(path.parent.name for path in folder.glob("*/manifest.json"))


def started_at(machine: Machine) -> list[int]:
    return [event.step for event in machine.heard if isinstance(event, TrainingStarted)]


def interrupted(machine: Machine, step: int) -> str:
    """The name of a run that this machine was stopped in, after the checkpoint of a step."""
    with pytest.raises(InterruptedRun):
        train(stop_after(step, machine.context()))
    (run,) = machine.root.glob(".charpipe/runs/*")
    return run.name


def test_finished_run_is_reused_elsewhere(machine: Machines) -> None:
    a, b = machine("a"), machine("b")
    first = train_and_score(a.context())
    shutil.rmtree(a.root)
    second = train_and_score(b.context())
    assert (second.run, second.reused) == (first.run, True)
    assert not started_at(b)
    assert len(list(b.run(second.run).checkpoints.glob("step-*"))) == 1  # the best one is all that was needed
    assert b.run(second.run).status.metrics["test/loss"] > 0  # a's evaluation


def test_interrupted_run_ends_elsewhere_as_if_uninterrupted(machine: Machines) -> None:
    a, b, alone = machine("a"), machine("b"), machine("alone")
    name = interrupted(a, 10)
    alone.backend.is_lost = True
    whole = train(alone.context())
    step = a.run(name).status.step
    shutil.rmtree(a.root)
    ended = train(b.context())
    assert ended.run == name
    assert started_at(b) == [step]
    assert weights(b.run(name)) == weights(alone.run(whole.run))
    assert steps_of(b.store, name, 2)[-1] == "step-00000024"


def test_without_a_store_the_run_folder_is_as_before(machine: Machines) -> None:
    alone = machine("alone")
    trained = train(alone.context(store__url=None))
    with_store = train(machine("a").context())
    files = {path.name for path in alone.run(trained.run).folder.iterdir()}
    there = {path.name for path in machine("a").run(with_store.run).folder.iterdir()}
    assert there - files == {"shared.json"}
    assert files <= there
