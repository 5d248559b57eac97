"""Texts are related if they have enough lines in common, however long the rest is."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.corpus.documents import SCHEMA
from charpipe.corpus.resemblance import SIZE, are_related, sketch_of


def sketch(folder: Path, *documents: str) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"path": f"{number}.txt", "part": 0, "sha256": "x", "bytes": len(text.encode()), "encoding": "utf-8"}
        | {"characters": len(text), "text": text}
        for number, text in enumerate(documents)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "documents-00000.parquet")
    return sketch_of(folder)


def lines(seed: int, number: int) -> str:
    generator = random.Random(seed)
    return "".join(f"line {generator.random()} of the text {seed}\n" for _ in range(number))


@pytest.mark.parametrize("number", [3, 300, 30_000])
def test_longer_version_is_related_and_another_text_is_not(tmp_path: Path, number: int) -> None:
    first = sketch(tmp_path / "first", lines(1, number))
    longer = sketch(tmp_path / "longer", lines(1, number), lines(2, number // 2))
    inserted = sketch(tmp_path / "inserted", lines(3, number // 3) + lines(1, number))
    other = sketch(tmp_path / "other", lines(4, number))
    assert len(first) == min(SIZE, number)
    assert are_related(first, longer) and are_related(longer, first) and are_related(first, inserted)
    assert not are_related(first, other) and not are_related(other, longer)


def test_text_without_lines_is_compared_by_chunks(tmp_path: Path) -> None:
    one = sketch(tmp_path / "a", "abc " * 5000)
    assert one == sketch(tmp_path / "b", "abc " * 5000)
    assert not are_related(one, sketch(tmp_path / "c", "xyz " * 5000))


def test_empty_texts_are_related_to_each_other_only(tmp_path: Path) -> None:
    nothing = sketch(tmp_path / "a", "")
    assert nothing == []
    assert are_related(nothing, [])
    assert not are_related(nothing, sketch(tmp_path / "b", "some text"))


@given(st.sets(st.integers(0, 2**64 - 1), min_size=1, max_size=SIZE))
def test_every_sketch_is_related_to_itself(hashes: set[int]) -> None:
    found = sorted(f"{one:016x}" for one in hashes)
    assert are_related(found, found)
