"""A fingerprint is of contents: times never change it, one byte does, unchanged files are not read again."""

import os
from pathlib import Path

import pytest

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus import fingerprint as hashing
from charpipe.corpus.fingerprint import fingerprint
from charpipe.errors import CorpusError
from charpipe.plugin import Fetched


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "c.md"):
        (folder / name).write_text(name)
        os.utime(folder / name, (1, 1))
    return folder


def digest(folder: Path, include: list[str] | None = None) -> str:
    config = CorpusConfig(sources=["x"], include=include or [])
    return fingerprint(Fetched("x", path=folder), config, folder.parent / "cache")


def test_times_do_not_matter_and_bytes_do(folder: Path) -> None:
    first = digest(folder)
    os.utime(folder / "a.txt")
    assert digest(folder) == first
    (folder / "a.txt").write_text("A.txt")
    assert digest(folder) != first
    (folder / "a.txt").write_text("a.txt")
    assert digest(folder) == first
    (folder / "a.txt").rename(folder / "d.txt")
    assert digest(folder) != first


def test_only_selected_files_matter(folder: Path) -> None:
    first = digest(folder, ["*.txt"])
    (folder / "c.md").write_text("changed")
    assert digest(folder, ["*.txt"]) == first


def test_a_settled_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_SETTLED_NS", -(10**15))
    first = digest(folder)
    monkeypatch.setattr(hashing, "digest_of_file", lambda path: pytest.fail(f"{path} was read again"))
    assert digest(folder) == first


def test_a_damaged_cache_costs_only_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_SETTLED_NS", -(10**15))
    first = digest(folder)
    (folder.parent / "cache" / "fingerprints.json").write_text("{")
    assert digest(folder) == first


def test_text_and_missing_files(tmp_path: Path) -> None:
    config = CorpusConfig(sources=["x"])
    hello = fingerprint(Fetched("x", text="hello"), config, tmp_path)
    assert hello != fingerprint(Fetched("x", text="hellO"), config, tmp_path)
    with pytest.raises(CorpusError, match="cannot be read"):
        fingerprint(Fetched("x", path=tmp_path / "gone"), config, tmp_path)
