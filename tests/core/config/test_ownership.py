"""Project files and plugins of other users: refused before anything of them is read or run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charpipe.config.files import find_project_file
from charpipe.config.ownership import check_plugin_folder
from charpipe.errors import OwnershipError

pytestmark = pytest.mark.e2e

STRANGER = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def foreign(project: Path) -> Path:
    """A project of another user, whose plugin leaves a mark where it is run."""
    plugin = project / "plugins" / "charpipe_evil"
    plugin.mkdir(parents=True)
    (plugin / "__init__.py").write_text(f"open({str(project / 'ran')!r}, 'w').close()\n")
    for path in (project, *project.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    return project


def charpipe(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "charpipe", *words]
    return subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True)


@needs_root
@pytest.mark.parametrize(
    "words", [("config", "show"), ("plugins", "list"), ("run", "train-and-sample", "--corpus", "hello")]
)
def test_command_in_a_strangers_folder_is_refused(foreign: Path, words: tuple[str, ...]) -> None:
    below = foreign / "mine"
    below.mkdir()
    done = charpipe(below, *words)
    assert done.returncode == 1
    assert "belongs to another user (uid 54321)" in done.stderr
    assert "export CHARPIPE_SAFE_DIRECTORY=" in done.stderr
    assert not (foreign / "ran").exists()


@needs_root
@pytest.mark.parametrize("words", [("--version",), ("--help",), ("run", "--help")])
def test_version_and_help_run_nothing_of_a_stranger(foreign: Path, words: tuple[str, ...]) -> None:
    assert charpipe(foreign, *words).returncode == 0
    assert not (foreign / "ran").exists()


@needs_root
def test_variable_allows_a_strangers_folder(foreign: Path) -> None:
    for allowed in (str(foreign), str(foreign.parent), "*", f"/nowhere{os.pathsep}{foreign}"):
        assert charpipe(foreign, "plugins", "list", CHARPIPE_SAFE_DIRECTORY=allowed).returncode == 0
        assert (foreign / "ran").exists()
        (foreign / "ran").unlink()
    assert charpipe(foreign, "plugins", "list", CHARPIPE_SAFE_DIRECTORY=f"{foreign}x").returncode == 1


@needs_root
def test_user_who_typed_sudo_is_trusted(foreign: Path) -> None:
    assert charpipe(foreign, "plugins", "list", SUDO_UID=str(STRANGER)).returncode == 0
    assert charpipe(foreign, "plugins", "list", SUDO_UID="1").returncode == 1


@needs_root
@pytest.mark.parametrize("name", ["__init__.py", "model.py", "__pycache__/model.cpython-311.pyc"])
def test_one_file_of_a_stranger_in_a_plugin_is_refused(project: Path, name: str) -> None:
    given = project / "plugins" / "charpipe_one" / name
    given.parent.mkdir(parents=True)
    given.touch()
    assert check_plugin_folder(project / "plugins", project)
    os.chown(given, STRANGER, STRANGER)
    with pytest.raises(OwnershipError, match="belongs to another user"):
        check_plugin_folder(project / "plugins", project)


def test_project_file_that_everybody_may_write_is_refused(project: Path) -> None:
    (project / "pipelines.toml").chmod(0o666)
    with pytest.raises(OwnershipError, match="can be changed by every user"):
        find_project_file()
