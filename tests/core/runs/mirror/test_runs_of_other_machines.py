"""A run that one machine trained is found, resumed and sampled on another, from the shared store alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from charpipe.errors import InterruptedRun
from charpipe.events import Checkpointed, Event, TrainingStarted
from run_machines import Machine, stop_after, train, train_and_score, weights
from waiting import until

Machines = Callable[[str], Machine]


def steps_of(store: Path, run: str, attempt: int) -> list[str]:
    folder = store / "runs" / run / f"attempt-{attempt}" / "checkpoints"
    return sorted(path.parent.name for path in folder.glob("*/manifest.json"))


def started_at(machine: Machine) -> list[int]:
    return [event.step for event in machine.heard if isinstance(event, TrainingStarted)]


def interrupted(machine: Machine, step: int) -> str:
    """The name of a run that this machine was stopped in, after the checkpoint of a step.

    The store has that checkpoint and, where `step` is 15 or more, an earlier one."""

    def wait(event: Event) -> None:
        """Only the newest checkpoint that waits is pushed: training must not be faster than the store."""
        if isinstance(event, Checkpointed) and 5 < event.step < step:
            until(lambda: any(machine.store.glob("runs/*/attempt-1/checkpoints/step-*/manifest.json")))

    with pytest.raises(InterruptedRun):
        train(stop_after(step, machine.context(wait)))
    (run,) = machine.root.glob(".charpipe/runs/*")
    return run.name


def weights_of_best(machine: Machine, run: str) -> bytes:
    return (machine.run(run).checkpoint("best") / "model.safetensors").read_bytes()


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
    a.lease = "30s"  # it must not expire while a busy machine trains
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


def test_scores_of_one_machine_are_found_on_the_next(machine: Machines) -> None:
    a, b, third = machine("a"), machine("b"), machine("third")
    name = train(a.context()).run  # and it never came to evaluate it
    shutil.rmtree(a.root)
    train_and_score(b.context())
    found = third.context().runs.find(name)
    assert found.status.metrics["test/loss"] == b.run(name).status.metrics["test/loss"]
    assert not b.warnings() and not [text for text in b.notices() if "further" in text]


def test_dry_run_fetches_no_checkpoint(machine: Machines) -> None:
    a, b = machine("a"), machine("b")
    name = train(a.context()).run
    train(b.context())
    shutil.rmtree(b.run(name).folder)
    train(replace(b.context(), dry_run=True))
    assert not b.run(name).checkpoints.exists()


def test_without_a_store_nothing_of_it_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from charpipe.cli.environment import open_runs; from charpipe.stages import Context\n"
        "open_runs().all()\n"
        "named = ('charpipe.runs.mirror', 'charpipe.champions.shared', 'charpipe.store.shared', 'obstore')\n"
        "print([name for name in sys.modules if name.startswith(named)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.strip() == "[]"


def test_damaged_checkpoint_falls_back_to_the_one_before(machine: Machines) -> None:
    a, b, alone = machine("a"), machine("b"), machine("alone")
    name = interrupted(a, 15)
    folder = a.store / "runs" / name / "attempt-1" / "checkpoints"
    newest, before = sorted(folder.glob("step-*"), reverse=True)[:2]
    damaged = newest / "optimizer.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    shutil.rmtree(a.root)
    train(b.context())
    assert started_at(b) == [int(before.name.rpartition("-")[2])]
    assert any("damaged" in warning and newest.name in warning for warning in b.warnings())
    assert weights(b.run(name)) == weights(alone.run(train(alone.context(store__url=None)).run))


def test_checkpoint_without_its_manifest_does_not_count(machine: Machines) -> None:
    a, b = machine("a"), machine("b")
    name = interrupted(a, 15)
    folder = a.store / "runs" / name / "attempt-1" / "checkpoints"
    newest, before = sorted(folder.glob("step-*"), reverse=True)[:2]
    (newest / "manifest.json").unlink()
    shutil.rmtree(a.root)
    train(b.context())
    assert started_at(b) == [int(before.name.rpartition("-")[2])]
    assert not b.warnings()


def test_store_that_misses_a_checkpoint_keeps_one_to_fall_back_to(machine: Machines) -> None:
    """Of three checkpoints the store gets the first and the last, and this machine keeps the last two."""
    a = machine("a")

    def lose(event: Event) -> None:
        if isinstance(event, Checkpointed) and event.step == 10:
            until(lambda: any(a.store.glob("runs/*/attempt-1/checkpoints/step-*/manifest.json")))
        if isinstance(event, Checkpointed):
            a.backend.is_lost = event.step == 10

    with pytest.raises(InterruptedRun):
        train(stop_after(15, a.context(lose, train__keep_checkpoints=2)))
    (run,) = a.root.glob(".charpipe/runs/*")
    there = steps_of(a.store, run.name, 1)
    assert len(there) == 2 and there[-1] == a.run(run.name).checkpoint("last").name


def test_lost_store_gives_one_warning_and_is_filled_later(machine: Machines) -> None:
    a, b = machine("a"), machine("b")

    def lose(event: Event) -> None:
        if isinstance(event, Checkpointed) and event.step == 10:
            until(lambda: any(a.store.glob("runs/*/attempt-1/checkpoints/step-*/manifest.json")))
            a.backend.is_lost = True

    trained = train(a.context(lose))
    assert not trained.reused
    assert len(a.warnings()) == 1 and "does not answer" in a.warnings()[0]
    assert any(f"charpipe runs sync {trained.run}" in notice for notice in a.notices())
    assert steps_of(a.store, trained.run, 1)[-1] < "step-00000024"
    a.backend.is_lost = False
    train(a.context())  # the next command
    assert steps_of(a.store, trained.run, 1)[-1] == "step-00000024"
    shutil.rmtree(a.root)
    assert train(b.context()).reused


def test_run_that_was_trained_without_the_store_is_pushed_when_it_answers(machine: Machines) -> None:
    a, b = machine("a"), machine("b")
    a.backend.is_lost = True

    def plug(event: Event) -> None:
        if isinstance(event, Checkpointed) and event.step == 10:
            a.backend.is_lost = False

    trained = train(a.context(plug))
    assert len(a.warnings()) == 1
    assert steps_of(a.store, trained.run, 1)[-1] == "step-00000024"
    shutil.rmtree(a.root)
    again = train(b.context())
    assert (again.run, again.reused) == (trained.run, True)


def test_run_from_before_the_store_is_pushed_by_sync(machine: Machines) -> None:
    a, b = machine("a"), machine("b")
    trained = train(a.context(store__url=None))
    library = a.context().runs
    said = list(library.push(library.trained_here()))
    assert said == [f"{trained.run}  in {a.url}"]
    assert list(library.push(library.trained_here())) == said  # twice is the same as once
    shutil.rmtree(a.root)
    again = train(b.context())
    assert (again.run, again.reused) == (trained.run, True)


def test_machine_whose_run_was_finished_elsewhere_follows(machine: Machines) -> None:
    a, b = machine("a"), machine("b")
    name = interrupted(a, 10)
    train(b.context())
    assert a.run(name).status.state == "interrupted"  # it has not looked yet
    again = train(a.context())
    assert (again.run, again.reused) == (name, True)
    assert weights_of_best(a, name) == weights_of_best(b, name)


def test_resume_with_changed_settings_elsewhere_keeps_the_first_action_free(machine: Machines) -> None:
    a, b = machine("a"), machine("b")
    name = interrupted(a, 10)
    context = b.context(train__steps=30)
    context = context.resuming(context.runs.find(name, use="resume"))
    assert train(context).steps == 30
    third = machine("third")
    fresh = train(third.context())  # the first settings have no finished run
    assert fresh.run != name
    changed = train(b.context(train__steps=30))
    assert changed.run != name  # neither is it the run of these settings from the beginning


def test_without_a_store_the_run_folder_is_as_before(machine: Machines) -> None:
    alone = machine("alone")
    trained = train(alone.context(store__url=None))
    with_store = train(machine("a").context())
    files = {path.name for path in alone.run(trained.run).folder.iterdir()}
    there = {path.name for path in machine("a").run(with_store.run).folder.iterdir()}
    assert there - files == {"shared.json"}
    assert files <= there
