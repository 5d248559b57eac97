"""A fingerprint is of contents: times never change it, one byte does, unchanged files are not read again."""

import json
import os
import shutil
from pathlib import Path

import pytest

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus import known_files
from charpipe.corpus.fingerprint import fingerprint
from charpipe.errors import CorpusError
from charpipe.plugin import Fetched
from charpipe.store.digest import digest_of_file


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
    monkeypatch.setattr(known_files, "_SETTLED_NS", -(10**15))
    first = digest(folder)
    monkeypatch.setattr(known_files, "digest_of_file", lambda path: pytest.fail(f"{path} was read again"))
    assert digest(folder) == first


@pytest.mark.parametrize("name", ["fingerprints.sqlite", "fingerprints.json"])
def test_a_damaged_cache_costs_only_time(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_files, "_SETTLED_NS", -(10**15))
    first = digest(folder)
    (folder.parent / "cache" / name).write_text("{" * 5000)
    assert digest(folder) == first
    monkeypatch.setattr(known_files, "digest_of_file", lambda path: pytest.fail(f"{path} was read again"))
    assert digest(folder) == first


def test_a_cache_that_cannot_be_opened_costs_only_time(folder: Path) -> None:
    first = digest(folder)
    shutil.rmtree(folder.parent / "cache")
    (folder.parent / "cache").write_text("a file where the folder should be")
    assert digest(folder) == first


def test_the_cache_of_an_earlier_release_is_taken_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest(folder)
    shutil.rmtree(folder.parent / "cache")
    entries = {}
    for path in folder.iterdir():
        found = path.stat()
        marks = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]
        entries[str(path)] = [*marks, digest_of_file(path)]
    cache = folder.parent / "cache" / "fingerprints.json"
    cache.parent.mkdir()
    cache.write_text(json.dumps(entries | {"odd": 1}))
    monkeypatch.setattr(known_files, "digest_of_file", lambda path: pytest.fail(f"{path} was read again"))
    assert digest(folder) == first
    assert not cache.exists()


def test_text_and_missing_files(tmp_path: Path) -> None:
    config = CorpusConfig(sources=["x"])
    hello = fingerprint(Fetched("x", text="hello"), config, tmp_path)
    assert hello != fingerprint(Fetched("x", text="hellO"), config, tmp_path)
    with pytest.raises(CorpusError, match="cannot be read"):
        fingerprint(Fetched("x", path=tmp_path / "gone"), config, tmp_path)
