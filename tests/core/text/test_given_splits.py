"""Splits given by sizes: where they end, in texts of any characters and parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charpipe.config.settings.split_values import Size, Unit
from charpipe.config.settings.text import SplitConfig
from charpipe.corpus.document_writer import DocumentWriter
from charpipe.corpus.documents import Part
from charpipe.errors import UsageError
from charpipe.text.given_splits import find_ends, measure_splits

TEXTS = st.lists(st.lists(st.text("aé字💡", max_size=9), min_size=1, max_size=3), min_size=1, max_size=3)


def documents(folder: Path, texts: list[list[str]], encoding: str = "utf-8", size: int | None = None) -> Path:
    folder.mkdir(parents=True)
    with DocumentWriter(folder) as writer:
        for number, parts in enumerate(texts):
            bytes_ = len("".join(parts).encode()) if size is None else size
            for at, text in enumerate(parts):
                digest = json.dumps(parts)
                writer.add(Part(f"{number}.txt", at, digest, bytes_, encoding, len(text), text.encode()))
    return folder


def sizes(unit: Unit, *counts: int) -> tuple[Size, Size, Size]:
    train, val, test = (Size(count, unit) for count in counts)
    return train, val, test


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(TEXTS, st.data())
def test_splits_by_bytes_hold_the_bytes_asked_for(
    tmp_path_factory: pytest.TempPathFactory, texts: list[list[str]], data: Any
) -> None:
    text = "".join("".join(parts) for parts in texts)
    whole = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), min_size=3, max_size=3)))
    folder = documents(tmp_path_factory.mktemp("given") / "d", texts)
    found = find_ends(folder, sizes("bytes", cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1]))
    for asked, end, characters in zip(cuts, found.ends, found.characters, strict=True):
        assert asked <= end < asked + 4
        assert text[:characters].encode() == whole[:end]
        assert end == asked or not _is_whole(whole[:asked])
    assert found.rest == len(whole) - found.ends[-1]
    assert sum(stop - start for _, start, stop in found.segments()) == found.characters[-1]


def _is_whole(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_splits_by_characters(tmp_path: Path) -> None:
    folder = documents(tmp_path / "d", [["aé", "字"], ["💡b"]])
    found = find_ends(folder, sizes("characters", 2, 1, 1))
    assert (found.characters, found.rest) == ((2, 3, 4), 1)
    assert found.segments() == [("train", 0, 2), ("val", 2, 3), ("test", 3, 4)]


@pytest.mark.parametrize("unit", ["bytes", "characters"])
def test_text_that_is_shorter_than_its_splits_is_refused(tmp_path: Path, unit: Unit) -> None:
    folder = documents(tmp_path / "d", [["abcde"]])
    with pytest.raises(UsageError, match=f"the splits are 6 {unit} long, and the text has 5"):
        find_ends(folder, sizes(unit, 4, 1, 1))


def test_bytes_of_a_text_that_was_converted_are_refused(tmp_path: Path) -> None:
    converted = documents(tmp_path / "a", [["é"]], encoding="windows-1252", size=1)
    with pytest.raises(
        UsageError, match="is read as windows-1252; nothing was encoded; give the sizes in char"
    ):
        find_ends(converted, sizes("bytes", 1, 0, 0))
    newlines = documents(tmp_path / "b", [["a\nb"]], size=4)
    with pytest.raises(UsageError, match=r"0\.txt is not kept byte for byte"):
        find_ends(newlines, sizes("bytes", 1, 0, 0))
    assert find_ends(converted, sizes("characters", 1, 0, 0)).rest == 0


def test_characters_of_each_split_are_measured(tmp_path: Path) -> None:
    folder = documents(tmp_path / "d", [["aé", "字"], ["💡b"], ["xyz"]])
    by_size = SplitConfig(train="3 bytes", val="3 bytes")
    assert measure_splits(folder, by_size, 8) == {"train": 2, "val": 1, "test": 0}
    by_files = SplitConfig(by="files", train="[01].txt", test="2.txt")
    assert measure_splits(folder, by_files, 8) == {"train": 5, "val": 0, "test": 3}
    assert measure_splits(folder, SplitConfig(train=0.5, val=0.5, test=0), 8) == {
        "train": 4,
        "val": 4,
        "test": 0,
    }
