"""Workspaces and the command's own log are no part of a corpus, whatever they are called."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charpipe.corpus.exclusions import LeftOut
from charpipe.corpus.members import walk
from charpipe.corpus.selection import Selection


def paths(root: Path, left_out: LeftOut | None = None) -> list[str]:
    return [path for path, _, _ in walk(root, Selection(), left_out or LeftOut())]


def workspace(root: Path) -> Path:
    for name in ("store/objects", "store/actions", "runs", "logs"):
        (root / name).mkdir(parents=True)
    (root / "runs" / "metrics.jsonl").write_text("{}")
    (root / "store" / "actions" / "a.json").write_text("{}")
    return root


def test_another_workspace_of_any_name_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    workspace(tmp_path / "experiments" / "old")
    assert paths(tmp_path) == ["a.txt"]


def test_a_new_workspace_that_holds_nothing_yet_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "w" / "downloads").mkdir(parents=True)
    (tmp_path / "w" / "downloads" / "b.txt").write_text("text")
    assert paths(tmp_path) == ["a.txt", "w/downloads/b.txt"]
    (tmp_path.parent / f"{tmp_path.name}-link").symlink_to(tmp_path / "w")
    assert paths(tmp_path, LeftOut.of(tmp_path.parent / f"{tmp_path.name}-link")) == ["a.txt"]


def test_a_corpus_folder_that_is_the_workspace_keeps_its_own_files(tmp_path: Path) -> None:
    workspace(tmp_path)
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "runs").mkdir()
    (tmp_path / "texts" / "runs" / "b.txt").write_text("text")
    assert paths(tmp_path) == ["a.txt", "texts/runs/b.txt"]


def test_folders_that_share_some_names_are_read(tmp_path: Path) -> None:
    (tmp_path / "store" / "actions").mkdir(parents=True)
    (tmp_path / "store" / "actions" / "a.js").write_text("text")
    assert paths(tmp_path) == ["store/actions/a.js"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_the_file_that_output_goes_to_is_left_out(stream: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    code = (
        "import sys; from pathlib import Path; from charpipe.corpus.exclusions import LeftOut, own_files;"
        "from charpipe.corpus.members import walk; from charpipe.corpus.selection import Selection;"
        "root = Path(sys.argv[1]); left = LeftOut.of(root / 'none');"
        "found = [path for path, _, _ in walk(root, Selection(), left)];"
        "Path(sys.argv[2]).write_text(repr((found, own_files(root, left))))"
    )
    result = tmp_path.parent / f"{tmp_path.name}-result"
    with (tmp_path / "run.log").open("wb") as log:
        command = [sys.executable, "-c", code, os.fspath(tmp_path), os.fspath(result)]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: log}
        subprocess.run(command, check=True, stdout=streams["stdout"], stderr=streams["stderr"])
    assert result.read_text() == "(['a.txt'], ['run.log'])"
