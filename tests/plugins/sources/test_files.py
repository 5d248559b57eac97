"""Paths, globs, the interpreter's own library, and literal text."""

from pathlib import Path

import pytest

from charpipe.plugin import CorpusError
from charpipe_sources import files, interpreter, literal


class Here:
    sha256 = None

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def progress(self, done: int, total: int | None) -> None: ...


def test_a_glob_takes_the_highest_version(tmp_path: Path) -> None:
    for version in ("5.9", "6.1", "6.12"):
        (tmp_path / f"linux-source-{version}.tar.xz").touch()
    found = files.fetch(f"{tmp_path}/linux-source-*.tar.*", Here(tmp_path))
    assert found is not None
    assert found.path == tmp_path / "linux-source-6.12.tar.xz"
    assert files.fetch(f"{tmp_path}/*.zip", Here(tmp_path)) is None
    assert not files.there(f"{tmp_path}/*.zip", tmp_path)


def test_names_are_taken_as_they_are_before_they_are_globs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "what [1].txt").write_text("x")
    monkeypatch.setenv("HOME", str(tmp_path))
    for spec in (str(tmp_path / "what [1].txt"), "~/what [1].txt", f"file://{tmp_path}/what [1].txt"):
        found = files.fetch(spec, Here(tmp_path))
        assert found is not None
        assert found.path == tmp_path / "what [1].txt"


def test_the_standard_library(tmp_path: Path) -> None:
    found = interpreter.fetch("python:stdlib", Here(tmp_path))
    assert found is not None
    assert found.path is not None
    assert (found.path / "argparse.py").is_file()
    with pytest.raises(CorpusError, match="python:stdlib"):
        interpreter.there("python:other", tmp_path)


def test_literal_text(tmp_path: Path) -> None:
    assert literal.fetch("text:hello: text", Here(tmp_path)).text == "hello: text"
    with pytest.raises(CorpusError):
        literal.fetch("text:", Here(tmp_path))
