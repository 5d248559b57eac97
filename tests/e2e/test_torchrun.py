"""`torchrun -m charpipe run`: a worker that dies, and one process that continues what two began."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import charpipe
from charpipe.runs import Run, list_runs
from charpipe.workspace import VARIABLE, Workspace
from waiting import until

pytestmark = pytest.mark.e2e

SETTINGS = {
    "train.steps": 1500,
    "train.shards": 4,
    "train.checkpoint_every": 100,
    "train.evaluate_every": 500,
    "architectures.lstm.hidden_size": 16,
    "sample.length": 20,
    "tracking.enabled": False,
}


def torchrun(corpus: Path, workers: int, **settings: Any) -> subprocess.Popen[str]:
    words = ["-m", "charpipe", "run", "train-and-sample", "--corpus", str(corpus)]
    for key, value in (SETTINGS | settings).items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(workers), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def worker(launcher: subprocess.Popen[str], rank: int) -> psutil.Process:
    """The process of a rank."""
    for process in psutil.Process(launcher.pid).children(recursive=True):
        if process.environ().get("RANK") == str(rank):
            return process
    raise AssertionError(f"there is no worker {rank}")


def last_step(workspace: Workspace) -> int:
    """The step of the last checkpoint."""
    return max((int((run.status.last or {}).get("step", 0)) for run in list_runs(workspace.runs)), default=0)


def weights(run: Run) -> bytes:
    return (run.checkpoint("last") / "model.safetensors").read_bytes()


def test_killed_worker_costs_one_interval_and_one_process_continues(
    project: Path, copy_prefect: Callable[[Workspace], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = project / "a.txt"
    corpus.write_text("the quick brown fox jumps over the lazy dog\n" * 300)
    workspace = Workspace(project / ".charpipe")
    copy_prefect(workspace)
    workers = torchrun(corpus, 2)
    until(lambda: last_step(workspace) >= 100)
    worker(workers, 1).kill()
    output = workers.communicate()[0]
    assert workers.returncode == 1
    assert "another worker ended or did not answer" in output
    kept = last_step(workspace)
    assert 100 <= kept < 1500

    trained = charpipe.train(str(corpus), settings=SETTINGS)
    assert len(list_runs(workspace.runs)) == 1
    monkeypatch.setenv(VARIABLE, str(project / "elsewhere"))
    whole = charpipe.train(str(corpus), settings=SETTINGS)
    assert weights(Run(trained.folder)) == weights(Run(whole.folder))


def test_workers_without_shards_are_refused_in_a_sentence(project: Path) -> None:
    corpus = project / "a.txt"
    corpus.write_text("the quick brown fox jumps over the lazy dog\n" * 300)
    workers = torchrun(corpus, 2, **{"train.shards": 1})
    output = workers.communicate()[0]
    assert workers.returncode == 1
    assert (
        "charpipe: 2 workers divide the shards of the batch among themselves, and there is only one" in output
    )
    assert not (project / ".charpipe" / "runs").exists()
