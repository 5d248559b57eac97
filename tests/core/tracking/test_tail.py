from __future__ import annotations

from pathlib import Path

from charpipe.tracking.tail import Tail


def test_only_whole_new_lines_are_read_and_again_until_they_are_dealt_with(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = Tail(path)
    assert list(tail.lines()) == []
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert [line["step"] for line in tail.lines()] == [1, 2]
    assert [line["step"] for line in tail.lines()] == [1, 2]
    tail.advance()
    with path.open("a") as file:
        file.write('ep": 3}\nnot json\n["no object"]\n{"step": 4}\n')
    assert [line["step"] for line in tail.lines()] == [3, 4]


def test_a_file_that_was_written_anew_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    tail = Tail(path)
    assert len(list(tail.lines())) == 2
    tail.advance()
    (tmp_path / "new").write_text('{"step": 1}\n')
    (tmp_path / "new").replace(path)
    assert [line["step"] for line in tail.lines()] == [1]
