"""Documents within files: one a line, one a block of lines; and the character that marks their ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus import ends
from charpipe.corpus.documents import Part, read_documents
from charpipe.corpus.ends import END, Divided
from charpipe.corpus.file_lists import read_notes, read_rejected
from charpipe.corpus.ingestion import ingest
from charpipe.corpus.parallel_ingestion import ingest_in_parallel
from charpipe.errors import UsageError
from charpipe.parallel import Processes
from charpipe.plugin import Fetched


def config_of(path: Path, **settings: Any) -> CorpusConfig:
    return CorpusConfig(sources=[str(path)], **settings)


def run(path: Path, out: Path, **settings: Any) -> tuple[dict[str, Any], list[Part]]:
    out.mkdir()
    facts = ingest(Fetched(str(path), path=path), config_of(path, **settings), out)
    return facts, list(read_documents(out))


def divided(text: str, **settings: Any) -> list[tuple[int, str]]:
    found = Divided([text.encode()], config_of(Path("a"), **settings), "a")
    return [(number, part.decode()) for number, part in found]


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("line", "anna\nben\n", [(1, "anna"), (2, "ben")]),
        ("line", "anna\r\n\r\n\nben", [(1, "anna"), (4, "ben")]),
        ("line", " \nben\n", [(1, " "), (2, "ben")]),
        ("blank-line", "X:1\nabc\n\nX:2\ndef\n", [(1, "X:1\nabc"), (4, "X:2\ndef")]),
        ("blank-line", "\n \n\nX:1\n\t\n\n\nX:2\n\n\n", [(4, "X:1"), (8, "X:2")]),
        ("blank-line", "X:1\r\nabc\r\n\r\nX:2", [(1, "X:1\r\nabc"), (4, "X:2")]),
    ],
)
def test_documents_with_ends_have_no_line_end_of_their_own(
    kind: str, text: str, wanted: list[tuple[int, str]]
) -> None:
    found = divided(text, documents=kind, ends=True)
    assert found == [(number, part + END) for number, part in wanted]


TEXTS = st.text("ab \n\r\t", max_size=40)


@given(TEXTS, st.sampled_from(["line", "blank-line"]), st.integers(1, 5))
def test_documents_without_ends_are_the_text_whatever_its_parts(text: str, kind: str, size: int) -> None:
    data = text.encode()
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    config = config_of(Path("a"), documents=kind)
    found = [part for _, part in Divided(parts, config, "a")]
    assert b"".join(found) == data
    assert found == [part for _, part in Divided([data], config, "a")]
    assert all(found)


@given(TEXTS, st.sampled_from(["line", "blank-line"]))
def test_no_document_with_an_end_is_empty(text: str, kind: str) -> None:
    for _, document in divided(text, documents=kind, ends=True):
        assert document.count(END) == 1
        assert document.endswith(END)
        assert len(document) > 1
    joined = "".join(document for _, document in divided(text, documents=kind, ends=True))
    assert joined.replace(END, "\n").split() == text.split()


def test_lines_are_counted_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("ann\n\nbea\nann\n")
    facts, parts = run(path, tmp_path / "out", documents="line", ends=True)
    assert [(part.path, part.text.decode()) for part in parts] == [
        ("names.txt:1", "ann" + END),
        ("names.txt:3", "bea" + END),
        ("names.txt:4", "ann" + END),
    ]
    assert (facts["documents"], facts["characters"], facts["bytes"]) == (3, 9, 13)
    assert parts[0].sha256 == parts[2].sha256 != parts[1].sha256
    assert all(part.characters == len(part.text) == part.bytes for part in parts)
    assert list(read_notes(tmp_path / "out")) == [("names.txt", "1 empty line is no document")]


def test_files_end_and_empty_ones_are_rejected(tmp_path: Path) -> None:
    folder = tmp_path / "poems"
    folder.mkdir()
    (folder / "a.txt").write_text("roses\n")
    (folder / "b.txt").write_text("")
    facts, parts = run(folder, tmp_path / "out", ends=True)
    assert [part.text.decode() for part in parts] == ["roses\n" + END]
    assert (facts["documents"], facts["rejected"], facts["characters"], facts["bytes"]) == (1, 1, 6, 6)
    assert list(read_rejected(tmp_path / "out")) == [("b.txt", ends.EMPTY)]


@pytest.mark.parametrize("settings", [{"ends": True}, {"ends": True, "documents": "line"}])
def test_only_empty_documents_are_a_usage_error(tmp_path: Path, settings: dict[str, Any]) -> None:
    folder = tmp_path / "poems"
    folder.mkdir()
    (folder / "b.txt").write_text("\n\n" if "documents" in settings else "")
    with pytest.raises(UsageError, match="empty: it would be a document without a character"):
        run(folder, tmp_path / "out", **settings)


@pytest.mark.parametrize("kind", ["file", "line", "blank-line"])
def test_a_text_with_the_end_character_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "names.txt"
    path.write_text(f"ann\nbe{END}a\n")
    with pytest.raises(UsageError, match=r"names\.txt.* contains the character U\+0003"):
        run(path, tmp_path / "out", documents=kind, ends=True)
    assert run(path, tmp_path / "allowed", documents=kind)[0]["characters"] == 9


def test_a_document_in_parts_has_its_end_in_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.txt"
    path.write_text("ä" * 20_000_000)
    _, parts = run(path, tmp_path / "out", ends=True)
    assert len(parts) > 1
    assert [END.encode() in part.text for part in parts] == [False] * (len(parts) - 1) + [True]


def test_a_line_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "PART", 10)
    for kind, text in (("line", "a\n" + "b" * 10), ("blank-line", "a\n\n" + "bbb\n" * 3)):
        with pytest.raises(UsageError, match=r'documents = "' + kind):
            divided(text, documents=kind)


def test_processes_make_the_same_documents(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text("".join(f"name {number} {n}\n\n" for n in range(40)))
    _, alone = run(folder, tmp_path / "one", documents="line", ends=True)
    (tmp_path / "two").mkdir()
    with Processes(2) as processes:
        config = config_of(folder, documents="line", ends=True)
        ingest_in_parallel(Fetched(str(folder), path=folder), config, tmp_path / "two", processes)
    assert list(read_documents(tmp_path / "two")) == alone
    assert len(alone) == 200
