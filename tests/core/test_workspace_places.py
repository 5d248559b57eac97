"""Where the workspace is: one path however it is reached, and a home where the user has none."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from charpipe.errors import CharpipeError
from charpipe.workspace import find_workspace

QUESTION = """
import os
from pathlib import Path
from charpipe.errors import CharpipeError
from charpipe.workspace import find_workspace
project = Path("pipelines.toml").absolute()
os.setuid(12345)
root = find_workspace(project).root
print(Path.home().relative_to(root))
"""


@pytest.mark.parametrize("variable", [False, True])
def test_workspace_has_one_path_however_it_is_reached(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: bool
) -> None:
    (project / "inner").mkdir()
    link = project.parent / "link"
    link.symlink_to(project)
    plain = find_workspace(project / "pipelines.toml").root
    for other in (link, project / "inner" / "..", Path(f"{project}//")):
        if variable:
            monkeypatch.setenv("CHARPIPE_HOME", f"{other}/.charpipe/")
        assert find_workspace(other / "pipelines.toml").root == plain


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")
def test_user_without_a_name_and_home_gets_one_in_the_workspace(project: Path) -> None:
    done = subprocess.run([sys.executable, "-c", QUESTION], env={}, capture_output=True, text=True)
    assert done.stdout.strip() == "home", done.stderr


def test_a_workspace_whose_path_is_not_utf8_is_reached_by_a_link_whose_path_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    roots = []
    for raw in (b"songs \xff", b"songs \xfe"):
        folder = tmp_path / os.fsdecode(raw)
        folder.mkdir()
        (folder / "pipelines.toml").write_text("")
        found = find_workspace(folder / "pipelines.toml")
        assert find_workspace(folder / "pipelines.toml") == found
        str(found.root).encode("utf-8")
        assert found.root.samefile(folder / ".charpipe")
        assert found.relative(found.store / "a") == "store/a"
        roots.append(found.root)
    assert roots[0] != roots[1]
    assert roots[0].parent.stat().st_mode & 0o077 == 0


def test_a_link_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"charpipe-{os.geteuid()}").symlink_to(tmp_path / "elsewhere")
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    with pytest.raises(CharpipeError, match="set CHARPIPE_HOME"):
        find_workspace(folder / "pipelines.toml")
    assert list((tmp_path / "elsewhere").iterdir()) == []
