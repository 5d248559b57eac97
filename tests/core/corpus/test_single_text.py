"""One text that a command is given, read as a corpus is."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.single_text import Text, read_text
from charpipe.errors import UsageError

RULES = CorpusConfig(sources=["text:"])


def test_folders_are_read_file_after_file_and_say_what_was_left_out(tmp_path: Path) -> None:
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"second"))
    (tmp_path / "a.txt").write_text("first ")
    for number in range(5):
        (tmp_path / f"image{number}").write_bytes(b"\x89PNG\x00\xff" * 100)
    read = read_text(tmp_path, RULES)
    assert (read.text, read.whole) == ("first second", True)
    assert read.notices[0].endswith("the texts of 2 files, one after another")
    assert "image0 was left out: binary" in read.notices[1]
    assert read.notices[-1] == "and 2 more files were left out"


def test_the_beginning_alone_is_returned_where_no_more_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("é" * 10)
    (tmp_path / "b.txt").write_text("b" * 10)
    read = read_text(tmp_path, RULES, 12)
    assert (read.text, read.characters, read.whole) == ("é" * 10 + "bb", 20, False)


def test_an_empty_file_is_an_empty_text(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert read_text(tmp_path / "empty.txt", RULES) == Text("", "empty.txt", 0)


@pytest.mark.parametrize("name", ["missing", "nul\0", "n" * 300, ""], ids=["missing", "nul", "long", "none"])
def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        read_text(name, RULES)


def test_bytes_that_fit_no_encoding_are_refused_or_replaced(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes("thé ".encode() * 50 + b"\xff")
    with pytest.raises(UsageError, match="byte 0xFF at offset 250"):
        read_text(tmp_path / "bad.txt", RULES)
    replacing = RULES.model_copy(update={"errors": "replace"})
    assert read_text(tmp_path / "bad.txt", replacing).text == "thé " * 50 + "\ufffd"
