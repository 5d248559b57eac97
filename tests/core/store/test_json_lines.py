from __future__ import annotations

from pathlib import Path

import pytest

from charpipe.errors import StoreError
from charpipe.store.json_lines import append_line, read_lines


def test_lines_are_read_as_they_were_appended(tmp_path: Path) -> None:
    path = tmp_path / "new" / "history.jsonl"
    assert read_lines(path) == []
    lines = [{"text": "a\nb, ü"}, {"number": 1.5, "list": [None]}]
    for line in lines:
        append_line(path, line)
    assert read_lines(path) == lines


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    append_line(path, {"first": 1})
    with path.open("ab") as file:
        file.write(b'{"torn": ')
    append_line(path, {"second": 2})
    assert read_lines(path) == [{"first": 1}, {"second": 2}]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        append_line(tmp_path / "file" / "history.jsonl", {})
