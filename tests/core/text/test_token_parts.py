"""The tokens of a piece in files of their own: put together they are what was written, and missing ones are noticed."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charpipe.errors import StoreError
from charpipe.text.splits import SPLITS
from charpipe.text.token_parts import copy_part, part_writers
from charpipe.text.tokens import TokenWriter

DTYPE = np.dtype(np.uint16)
WRITES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4), st.integers(0, 5)), max_size=20)


@given(WRITES)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_are_copied_to_where_they_belong(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, int, int]]
) -> None:
    """Runs of tokens with gaps between them, and without."""
    folder = tmp_path_factory.mktemp("tokens")
    expected, ends, number = [np.zeros(200, DTYPE) for _ in SPLITS], [0, 0, 0], 0
    with part_writers(folder / "part", DTYPE) as writers:
        for split, gap, length in writes:
            tokens = np.arange(number, number + length).astype(DTYPE)
            writers[split].write(ends[split] + gap, tokens)
            expected[split][ends[split] + gap :][:length] = tokens
            ends[split] += gap + length
            number += length
    for name in SPLITS:
        with TokenWriter(folder / f"{name}.npy", DTYPE) as file:
            file.write(0, np.zeros(200, DTYPE))
    files = [TokenWriter(folder / f"{name}.npy", DTYPE, shared=True) for name in SPLITS]
    copy_part(folder / "part", DTYPE, files)
    for file, name, wanted in zip(files, SPLITS, expected, strict=True):
        with file:
            assert np.array_equal(np.load(folder / f"{name}.npy"), wanted)
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.npy" for name in SPLITS)


def test_adjacent_tokens_are_one_run(tmp_path: Path) -> None:
    with part_writers(tmp_path / "part", DTYPE) as (writer, *_):
        for offset in (3, 5, 7):
            writer.write(offset, np.ones(2, DTYPE))
        writer.write(20, np.ones(1, DTYPE))
    assert list(writer.runs) == [3, 6, 20, 1]


@pytest.mark.parametrize("change", [lambda data: data[:-2], lambda data: data + b"\0\0", lambda data: b""])
def test_a_part_with_other_tokens_than_were_written_is_refused(tmp_path: Path, change) -> None:
    with part_writers(tmp_path / "part", DTYPE) as (writer, *_):
        writer.write(0, np.arange(9, dtype=DTYPE))
    path = next(tmp_path.glob(f"part-{SPLITS[0]}.tokens"))
    path.write_bytes(change(path.read_bytes()))
    files = [TokenWriter(tmp_path / f"{name}.npy", DTYPE) for name in SPLITS]
    with pytest.raises(StoreError, match="another machine wrote 9"):
        copy_part(tmp_path / "part", DTYPE, files)
    for file in files:
        file.__exit__(None, None, None)
