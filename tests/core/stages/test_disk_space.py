"""What can be checked first is: the workspace, its disk, decoders, devices, whatever the pipeline."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from charpipe import stages
from charpipe.cli import main
from charpipe.errors import CharpipeError
from charpipe.events import Notice
from charpipe.stages.disk_space import MIN_FREE, check_workspace_disk, space_warning
from charpipe.workspace import Workspace

Usage = namedtuple("Usage", "total used free")


def leave(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12 - free, free))


def test_full_disk_and_unwritable_workspace_are_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_workspace_disk(Workspace(tmp_path / "new"))
    (tmp_path / "file").write_text("")
    with pytest.raises(CharpipeError, match=r"cannot be written: .*nothing was started.*CHARPIPE_HOME"):
        check_workspace_disk(Workspace(tmp_path / "file" / "workspace"))
    leave(monkeypatch, MIN_FREE - 1)
    with pytest.raises(CharpipeError, match=r"is full \(4\.19 MB free\); nothing was started"):
        check_workspace_disk(Workspace(tmp_path / "new"))


def test_corpus_larger_than_the_disk_is_told_before_it_is_read(
    project: Path, open_context, heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project / "texts"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.txt").write_text("the quick brown fox. " * 100)
    leave(monkeypatch, 4199)
    stages.ingest(open_context(), "texts")
    [warning] = [one.message for one in heard.of(Notice) if one.level == "warning"]
    assert warning.startswith("the corpus has 4.2 kB, and the disk of the workspace 4.2 kB free")
    heard.clear()
    stages.ingest(open_context(), "texts")  # there already: nothing is written
    assert not heard.of(Notice)
    leave(monkeypatch, 4200)
    assert space_warning(Workspace(project), folder, ["a.txt", "b.txt"]) is None
    assert space_warning(Workspace(project), None, []) is None  # a text that stands in the project file


HELLO = ["--corpus", "hello"]
PIPELINES = {
    "train-and-sample": HELLO,
    "retrain": HELLO,
    "compare-architectures": HELLO,
    "speedrun": [*HELLO, "--budget", "2m"],
    "reproduce-2015": ["--experiments", "blog"],
}
WRONG = {
    "--device=cuda:99": "cuda:99",
    "--set=train.precision=float16": "float16",
    "--engine=cuda-graphs": "cuda-graphs",
    "--set=sample.decoders={greedily = {}}": "did you mean 'greedy'",
    "--set=architectures.lstm.hidden=3": "did you mean 'hidden_size'",
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_no_stage_begins_with_what_cannot_be(
    pipeline: str, wrong: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", pipeline, *PIPELINES[pipeline], wrong]) == 2
    said = capsys.readouterr()
    assert WRONG[wrong] in said.err
    assert "ingest" not in said.out
    runs = project / ".charpipe" / "runs"
    assert not runs.exists() or not list(runs.iterdir())
