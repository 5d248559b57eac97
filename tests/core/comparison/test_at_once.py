"""Several trials at once on one machine, each in a process of its own."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charpipe import stages
from charpipe.comparison import (
    Row,
    check_at_once,
    plan_comparison,
    plan_parallel,
    train_trials,
)
from charpipe.comparison import parallel as machine
from charpipe.errors import InterruptedRun, UsageError
from charpipe.events import Evaluated, Notice, OfTrial, StageFailed, StageFinished
from charpipe.plugins.registry import Registry
from charpipe.runs import Run, list_runs
from charpipe.stages import Context, Parallel, processes
from charpipe.stages.processes import InProcess, Outcome
from waiting import until

pytestmark = pytest.mark.e2e
TEXT = "to be, or not to be, that is the question: " * 40
TWO = Parallel(2, InProcess(1))
DIED = Outcome(reason="it died")


def compared(
    context: Context, archs: list[str], parallel: Parallel, seeds: int = 1, sizes: tuple[int, ...] = (8,)
) -> list[Row]:
    """The rows of a comparison of these architectures."""
    Path("corpus.txt").write_text(TEXT)
    documents = stages.ingest(context, "corpus.txt")
    vocabulary = stages.learn_vocabulary(context, "corpus.txt", documents)
    tokens = stages.encode(context, "corpus.txt", documents, vocabulary)
    planned = plan_comparison(context, "corpus.txt", archs, sizes, [1], seeds, "units", tokens)
    return train_trials(context, planned, "corpus.txt", tokens, vocabulary, parallel)


def weights(context: Context, row: Row) -> str:
    """A hash of the weights that a trial ended with."""
    folder = Run(context.workspace.runs / row.run).checkpoint("last")
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def facts(context: Context, rows: list[Row]) -> list[Mapping[str, Any]]:
    """What must not depend on how many trials ran at once."""
    infos = [Run(context.workspace.runs / row.run).info for row in rows]
    return [
        {
            "title": row.title,
            "seed": row.seed,
            "scores": (row.val_loss, row.test_loss, row.test_bits),
            "weights": weights(context, row),
            "action": info.action,
            "settings": info.settings,
            "origins": info.origins,
            "request": info.request,
        }
        for row, info in zip(rows, infos, strict=True)
    ]


def test_two_at_once_equal_one_at_a_time(open_context, heard, tmp_path, project) -> None:
    context = open_context()
    rows = compared(context, ["rnn", "gru"], TWO)
    assert [row.title for row in rows] == ["rnn 1x8", "gru 1x8"]
    evaluated = [event.trial for event in heard.of(OfTrial) if isinstance(event.event, Evaluated)]
    assert set(evaluated) == {"rnn 1x8 seed 1", "gru 1x8 seed 1"}
    at_once = facts(context, rows)

    heard.clear()
    again = compared(open_context(), ["rnn", "gru"], TWO)  # looked up, without a process
    assert again == rows and all(event.skipped for event in heard.of(StageFinished))

    (project / ".charpipe").rename(tmp_path / "other")
    assert at_once == facts(context, compared(context, ["rnn", "gru"], Parallel()))


def test_a_failure_is_a_row_and_the_others_go_on(open_context, heard, project) -> None:
    plugins = project / "plugins"
    plugins.mkdir()
    (plugins / "dying.py").write_text(
        "import os, signal\n"
        "from charpipe.plugin import Architecture, ArchitectureConfig, hookimpl\n"
        "def build(config, vocabulary_size):\n"
        "    if os.environ.get('OMP_NUM_THREADS') == '2':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    raise RuntimeError('out of memory')\n"
        "@hookimpl\n"
        "def charpipe_architectures():\n"
        "    yield Architecture('dying', 'Dies.', config=ArchitectureConfig, build='dying:build')\n"
    )
    context = replace(open_context(), registry=Registry([plugins]))
    rows = compared(context, ["dying", "rnn"], Parallel(2, InProcess(2)))
    assert "SIGKILL" in rows[0].error and rows[1].test_bits
    [failed] = heard.of(StageFailed)
    assert failed.stage == "dying 1x8 seed 1" and "SIGKILL" in failed.reason
    [other] = compared(context, ["dying"], TWO)
    assert other.error == "architecture 'dying' could not be built: out of memory"


def test_a_stop_saves_every_trial_and_the_same_again_resumes(open_context, heard) -> None:
    context = open_context(train__steps=3000, train__evaluate_every=20)
    both: set[str] = set()

    def stop_once_both_train(event: Any) -> None:
        heard(event)
        if isinstance(event, OfTrial) and isinstance(event.event, Evaluated):
            both.add(event.trial)
            if len(both) == 2:
                context.stop.request(15)

    with pytest.raises(InterruptedRun, match="type the same command again") as caught:
        compared(replace(context, emit=stop_once_both_train), ["rnn", "gru"], TWO)
    assert caught.value.exit_code == 143
    runs = {run.info.architecture: run for run in list_runs(context.workspace.runs)}
    saved = {arch: run.status.step for arch, run in runs.items()}
    assert {run.status.state for run in runs.values()} == {"interrupted"} and min(saved.values()) >= 20

    rows = compared(open_context(train__steps=3000, train__evaluate_every=20), ["rnn", "gru"], TWO)
    assert {row.run for row in rows} == {run.name for run in runs.values()}
    assert [row.steps for row in rows] == [3000, 3000]


SCRIPT = """
import charpipe, sys
settings = {"train.steps": 100000, "train.evaluate_every": 20, "train.batch_size": 4, "train.window": 8,
            "tracking.enabled": False}
charpipe.compare("corpus.txt", ["rnn", "gru"], sizes=[8], match="units", at_once=2, settings=settings,
                 listen=lambda event: print(event.to_json()["event"], event.to_json().get("trial"), flush=True))
"""


def test_a_killed_command_leaves_no_training_behind(project) -> None:
    (project / "corpus.txt").write_text(TEXT)
    environ = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, env=environ)
    assert process.stdout is not None
    trained: set[str] = set()
    for line in process.stdout:
        if line.startswith("evaluated"):
            trained.add(line)
        if len(trained) == 2:
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    runs = list_runs(project / ".charpipe" / "runs")
    assert len(runs) == 2
    until(lambda: all(run.status.state == "interrupted" for run in runs))
    assert all(run.status.step >= 20 and run.checkpoint("last").is_dir() for run in runs)


def test_more_trials_than_the_machine_carries_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(machine, "cores_here", lambda: 4)
    monkeypatch.setattr(machine, "free_memory", lambda: 8e9)
    check_at_once(1)
    check_at_once(4)
    with pytest.raises(
        UsageError, match=r"--at-once 5 needs a core for each training.*has 4; type --at-once 4"
    ):
        check_at_once(5)
    monkeypatch.setattr(machine, "free_memory", lambda: 2.5 * machine.PROCESS_BYTES)
    with pytest.raises(UsageError, match=r"--at-once 4 needs about .*are free; type --at-once 2"):
        check_at_once(4)
    monkeypatch.setattr(machine, "cores_here", lambda: 1)
    with pytest.raises(UsageError, match="leave it out"):
        check_at_once(2)


def test_each_trial_has_its_share_of_the_cores_and_this_is_told(open_context, heard, monkeypatch) -> None:
    monkeypatch.setattr(machine, "cores_here", lambda: 8)
    monkeypatch.setattr(machine, "free_memory", lambda: 64e9)
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(processes, "run_process", lambda module, request, *_: started.append(request) or DIED)
    parallel = plan_parallel(open_context(), 3, 9)
    assert parallel.at_once == 3
    assert [row.error for row in compared(open_context(), ["rnn"], parallel, seeds=3)] == ["it died"] * 3
    [notice] = [event for event in heard.of(Notice) if "at once" in event.message]
    assert notice.message == "3 trials at once, each in a process of its own with 2 of 8 cores"
    assert [request["threads"] for request in started] == [2, 2, 2]
    assert plan_parallel(open_context(), 5, 2).at_once == 2  # no more than there are
    assert plan_parallel(open_context(), 5, 1) == Parallel() == plan_parallel(open_context(), 1, 9)


def test_little_memory_is_told(open_context, heard, monkeypatch) -> None:
    monkeypatch.setattr(machine, "cores_here", lambda: 8)
    monkeypatch.setattr(machine, "free_memory", lambda: 4 * machine.PROCESS_BYTES)
    monkeypatch.setattr(processes, "run_process", lambda *_: DIED)
    compared(open_context(), ["rnn"], plan_parallel(open_context(), 3, 9))
    [warning] = [event for event in heard.of(Notice) if event.level == "warning"]
    assert warning.message.startswith("memory may become short: 3 trainings need")
