"""`charpipe init`: what it writes, and what it never overwrites."""

from __future__ import annotations

import os
import pty
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import charpipe
from charpipe.cli import main
from charpipe.config import load_config
from charpipe.errors import UsageError
from charpipe.plugins.registry import Registry

INIT = [sys.executable, "-m", "charpipe", "init"]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_project_has_a_file_and_plugins(empty: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    assert sorted(str(path.relative_to(empty)) for path in empty.rglob("*") if path.is_file()) == [
        "pipelines.toml",
        "plugins/README.md",
    ]
    assert "charpipe corpora add NAME PATH" in capfd.readouterr().out
    assert load_config().project_file == empty / "pipelines.toml"


def test_what_is_commented_out_is_valid_and_the_default(empty: Path) -> None:
    """Without the comment signs the file is one of settings; those with a default have it."""
    charpipe.init()
    lines = (empty / "pipelines.toml").read_text().splitlines()
    settings = [line.removeprefix("# ") for line in lines if "[" in line or " = " in line]
    (empty / "pipelines.toml").write_text("\n".join(settings))
    table = tomllib.loads("\n".join(settings))
    config = load_config().config
    assert config.corpora["letters"].include == ["*.txt"]
    (empty / "pipelines.toml").write_text("")
    defaults = load_config().config
    assert table["train"] == {"budget": defaults.train.budget}
    lstm = Registry().architecture("lstm").config()
    assert table["architectures"] == {"lstm": {"hidden_size": lstm.hidden_size}}


def test_an_empty_path_is_refused(empty: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["init", ""]) == 2
    assert "the path of the folder is empty" in capfd.readouterr().err
    assert list(empty.iterdir()) == []


def test_a_folder_that_is_missing_is_made(empty: Path) -> None:
    made = charpipe.init(empty / "new" / "text")
    assert made.file.is_file()
    assert [path.name for path in made.written] == ["pipelines.toml", "README.md"]


def test_a_folder_with_a_project_is_refused(empty: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (empty / "pipelines.toml").write_text("# mine\n")
    assert main(["init"]) == 2
    said = capfd.readouterr().err
    assert "there is a project already" in said
    assert "charpipe corpora add NAME PATH" in said
    assert (empty / "pipelines.toml").read_text() == "# mine\n"
    assert not (empty / "plugins").exists()


def test_a_dangling_link_is_not_followed(empty: Path) -> None:
    (empty / "pipelines.toml").symlink_to(empty / "elsewhere.toml")
    with pytest.raises(UsageError, match="there is a project already"):
        charpipe.init()
    assert not (empty / "elsewhere.toml").exists()


def test_plugins_that_exist_are_kept(empty: Path) -> None:
    (empty / "plugins").mkdir()
    (empty / "plugins" / "README.md").write_text("mine")
    made = charpipe.init()
    assert [path.name for path in made.written] == ["pipelines.toml"]
    assert (empty / "plugins" / "README.md").read_text() == "mine"


@pytest.mark.parametrize("name", ["file", "folder/plugins"])
def test_a_file_in_the_place_of_a_folder_is_refused(empty: Path, name: str) -> None:
    (empty / "folder").mkdir()
    (empty / name).write_text("")
    with pytest.raises(UsageError, match="is no folder"):
        charpipe.init(empty / name.partition("/")[0])
    assert not (empty / "folder" / "pipelines.toml").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error(empty: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (empty / "locked").mkdir(mode=0o500)
    assert main(["init", "locked"]) == 1
    assert "cannot be written" in capfd.readouterr().err


def test_a_project_inside_of_another_says_so(empty: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (empty / "pipelines.toml").write_text("")
    assert main(["init", "inner"]) == 0
    assert f"the settings of {empty / 'pipelines.toml'} do not apply" in capfd.readouterr().out


def test_nothing_is_asked_without_a_terminal(empty: Path) -> None:
    done = subprocess.run(INIT, capture_output=True, text=True, stdin=subprocess.PIPE, check=True)
    assert "Enter" not in done.stdout
    assert (empty / "pipelines.toml").is_file()


@pytest.mark.parametrize(("words", "asks"), [([], True), (["--no-input"], False)])
def test_a_terminal_is_asked_for_a_text(empty: Path, words: list[str], asks: bool) -> None:
    """Enter leaves it open."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([*INIT, *words], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.write(ours, b"\n")
        assert process.wait() == 0
    shown = os.read(ours, 10_000).decode()
    os.close(theirs)
    os.close(ours)
    assert ("Enter: none" in shown) == asks
    assert "charpipe corpora add NAME PATH" in shown


@pytest.mark.parametrize("name", ["pröj ect ñ", "-x", "-", "it's"])
def test_the_suggested_commands_enter_the_new_folder(
    empty: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["init", "--", name]) == 0
    suggested = [line for line in capfd.readouterr().out.splitlines() if "type:" in line]
    assert len(suggested) == 2
    for line in suggested:
        enter = line.partition("type:")[2].partition("&&")[0]
        assert len(shlex.split(enter)) == 2
        script = f"{enter} && pwd -P"
        entered = subprocess.run(["sh", "-c", script], cwd=empty, capture_output=True, text=True, check=True)
        assert entered.stdout == f"{(empty / name).resolve()}\n"
