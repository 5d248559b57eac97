"""SIGKILL at every place around a checkpoint's writing: the run goes on from the newest whole one, and what comes of it
cannot be told from a run that nobody killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from killing import PLACES, SAVED, context, train

from charpipe.events import Notice, TrainingStarted
from charpipe.runs import Run, read_metrics
from charpipe.training.checkpoints import damage

pytestmark = pytest.mark.e2e

TEXT = "the quick brown fox jumps over the lazy dog. " * 40
KILLED = [place for place, step in PLACES.items() if step is not None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose runs died, each at the place it is named after, but for the one that was let live."""
    made = tmp_path_factory.mktemp("killed")
    (made / "mine.txt").write_text(TEXT)
    script = Path(__file__).with_name("killing.py")
    done = subprocess.run(
        [sys.executable, str(script), str(made), *PLACES],
        capture_output=True,
        text=True,
        cwd=made,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    deaths = {place: int(code) for place, code in map(str.split, done.stdout.splitlines())}
    assert deaths == {place: signal.SIGKILL if place in KILLED else 0 for place in PLACES}
    found = (made / ".charpipe" / "runs").glob("*/checkpoints/step-*")
    assert {path: wrong for path in found if (wrong := damage(path))} == {}
    return made


def kept(run: Run) -> dict[str, object]:
    """All that a run leaves but for times."""
    timed = ("time", "perf/chars_per_second")
    lines = [
        {key: value for key, value in line.items() if key not in timed}
        for line in read_metrics(run.metrics_file)
    ]
    status, last = run.status, run.checkpoint("last")
    best = {key: value for key, value in (status.best or {}).items() if key != "metrics"}
    scores = {key: value for key, value in (status.best or {})["metrics"].items() if key not in timed}
    files = {name: (last / name).read_bytes() for name in ("model.safetensors", "optimizer.safetensors")}
    texts = [line["text"] for line in read_metrics(run.samples_file) if line["step"] == 24]
    return {"metrics": lines, "state": status.state, "best": best, "scores": scores, "texts": texts, **files}


@pytest.mark.parametrize("place", KILLED)
def test_a_killed_run_ends_as_if_nobody_had(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(folder)
    heard: list[object] = []
    opened = context(folder, emit=heard.append)
    run = Run(opened.workspace.runs / place)
    assert run.status.state == "interrupted"
    opened = opened.resuming(run)
    assert train(opened).run == place
    (started,) = [event for event in heard if isinstance(event, TrainingStarted)]
    assert started.step == PLACES[place]
    assert not [event for event in heard if isinstance(event, Notice) and event.level == "warning"]
    assert kept(run) == kept(Run(opened.workspace.runs / "uninterrupted"))


@pytest.mark.parametrize("place", KILLED)
def test_what_was_half_written_is_cleared_away(folder: Path, place: str) -> None:
    run = Run(folder / ".charpipe" / "runs" / place)
    assert not list(run.checkpoints.glob(".saving-*"))
    assert run.status.step > SAVED


def test_killed_at_the_very_end_there_is_nothing_left_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last checkpoint lies on disk, and the run's status never heard of it."""
    monkeypatch.chdir(folder)
    opened = context(folder)
    run = Run(opened.workspace.runs / "uninterrupted")
    before = kept(run)
    run.update(state="running", last=None, best=None, step=20)
    opened = opened.resuming(run)
    train(opened)
    assert kept(run) == before
