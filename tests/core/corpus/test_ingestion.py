"""Whatever lies in a folder, a file or a text becomes documents, is counted, or is listed with its reason."""

import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus import decoding, ingestion
from charpipe.corpus.documents import Part, read_documents
from charpipe.corpus.file_lists import read_notes
from charpipe.corpus.fingerprint import fingerprint
from charpipe.corpus.ingestion import ingest
from charpipe.errors import CorpusError
from charpipe.plugin import Fetched


def run(path: Path, out: Path, **settings: Any) -> tuple[dict[str, Any], list[Part]]:
    out.mkdir()
    config = CorpusConfig(sources=[str(path)], **settings)
    facts = ingest(Fetched(str(path), path=path), config, out)
    return facts, list(read_documents(out))


def rejected(out: Path) -> dict[str, str]:
    table = pq.read_table(out / "rejected.parquet")
    return dict(zip(table["path"].to_pylist(), table["reason"].to_pylist(), strict=True))


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder with spaces ü"
    (folder / "sub").mkdir(parents=True)
    contents = {
        "ascii.txt": b"one\r\ntwo\rthree\n",
        "bom.txt": "\ufeffmark".encode(),
        "combining.txt": "e\u0301 💡 \U0010ffff".encode(),
        "empty.txt": b"",
        "latin1.txt": b"caf\xe9",
        "nul.txt": b"a\0b",
        "one.txt": b"x",
        "same.txt": b"x" * 999,
        "sub/utf16.txt": "\ufeffwide".encode("utf-16-le"),
        "zz.bin": b"\0\xff\xfe\x01",
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    return folder


def test_every_kind_of_text_is_exact(zoo: Path, tmp_path: Path) -> None:
    facts, parts = run(zoo, tmp_path / "out")
    texts = {part.path: part.text.decode() for part in parts}
    assert texts == {
        "ascii.txt": "one\r\ntwo\rthree\n",
        "bom.txt": "\ufeffmark",
        "combining.txt": "e\u0301 💡 \U0010ffff",
        "empty.txt": "",
        "latin1.txt": "café",
        "nul.txt": "a\0b",
        "one.txt": "x",
        "same.txt": "x" * 999,
        "sub/utf16.txt": "\ufeffwide",
    }
    assert facts["documents"] == 9
    assert facts["characters"] == sum(len(text) for text in texts.values())
    assert facts["bytes"] == sum((zoo / path).stat().st_size for path in texts)
    assert facts["encodings"] == {"latin-1": 1, "utf-16-le": 1, "utf-8": 7}
    assert rejected(tmp_path / "out") == {"zz.bin": "binary: not UTF-8, and with NUL"}
    for part in parts:
        assert part.sha256 == hashlib.sha256((zoo / part.path).read_bytes()).hexdigest()
        assert part.characters == len(texts[part.path])


def test_newlines_only_where_the_corpus_asks(zoo: Path, tmp_path: Path) -> None:
    _, parts = run(zoo, tmp_path / "out", newline="lf", include=["ascii.txt"])
    assert [part.text for part in parts] == [b"one\ntwo\nthree\n"]


def test_links_and_special_files(zoo: Path, tmp_path: Path) -> None:
    (zoo / "loop").symlink_to(zoo)
    (zoo / "itself.txt").symlink_to("itself.txt")
    (zoo / "linked.txt").symlink_to(zoo / "one.txt")
    os.mkfifo(zoo / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(zoo / "socket"))
        _, parts = run(zoo, tmp_path / "out")
    why = rejected(tmp_path / "out")
    assert why["loop"] == "link to a folder, not followed"
    assert why["itself.txt"].startswith("unreadable")
    assert why["pipe"] == why["socket"] == "device or other special file"
    assert "linked.txt" in {part.path for part in parts}


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    _, parts = run(folder, tmp_path / "out")
    assert [part.path for part in parts] == ["caf\\xe9.txt"]


def test_nothing_to_read_is_an_error_that_says_why(zoo: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"1 file that matches \*\.bin \(1 binary\)"):
        run(zoo, tmp_path / "out", include=["*.bin"])
    with pytest.raises(CorpusError, match="holds no text"):
        run(zoo / "empty.txt", tmp_path / "out2")


def test_a_single_file_is_read_whatever_the_patterns(zoo: Path, tmp_path: Path) -> None:
    facts, parts = run(zoo / "one.txt", tmp_path / "out", include=["*.c"])
    assert (facts["documents"], parts[0].path, parts[0].text) == (1, "one.txt", b"x")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "latin-1"])
def test_a_long_line_is_cut_into_parts(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (decoding, ingestion):
        monkeypatch.setattr(module, "PART", 1000)
    text = "é" * 5000 if encoding == "latin-1" else "\ufeff" + "aé💡" * 2000
    path = tmp_path / "long.txt"
    path.write_bytes(text.encode(encoding))
    facts, parts = run(path, tmp_path / "out")
    assert b"".join(part.text for part in parts).decode() == text
    assert [part.part for part in parts] == list(range(len(parts)))
    assert max(len(part.text) for part in parts) <= 1000
    assert facts["documents"] == 1
    assert {part.sha256 for part in parts} == {hashlib.sha256(path.read_bytes()).hexdigest()}
    assert sum(part.characters for part in parts) == facts["characters"] == len(text)


def test_memory_stays_flat_for_a_long_line(tmp_path: Path) -> None:
    """In a process of its own; the address space of anonymous memory is bounded, not the run time."""
    import subprocess
    import sys

    path = tmp_path / "line.txt"
    with path.open("wb") as file:
        for _ in range(200):
            file.write(b"x" * 10**6)
    code = """
import sys
from pathlib import Path
from charpipe.corpus.ingestion import ingest
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.plugin import Fetched
path, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir()
ingest(Fetched("x", path=path), CorpusConfig(sources=["x"]), out)
# getrusage would tell the peak of the process that this one was forked from
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 400_000  # kilobytes; the interpreter and pyarrow alone take 130,000


def test_a_folder_that_changes_meanwhile(zoo: Path, tmp_path: Path) -> None:
    config = CorpusConfig(sources=[str(zoo)])
    fetched = Fetched(str(zoo), path=zoo)
    before = fingerprint(fetched, config, tmp_path / "cache")
    (zoo / "one.txt").write_text("y")
    (tmp_path / "out").mkdir()
    with pytest.raises(CorpusError, match="changed while it was read"):
        ingest(
            fetched,
            config,
            tmp_path / "out",
            unchanged=lambda: fingerprint(fetched, config, tmp_path / "cache") == before,
        )


def test_a_file_that_vanishes_is_listed(zoo: Path, tmp_path: Path) -> None:
    from charpipe.corpus.members import folder_members
    from charpipe.corpus.selection import Selection

    members = folder_members(zoo, Selection())
    assert next(members).path == "ascii.txt"
    (zoo / "bom.txt").unlink()
    assert next(members).why_not.startswith("unreadable")


def test_the_same_source_gives_the_same_bytes(zoo: Path, tmp_path: Path) -> None:
    run(zoo, tmp_path / "a")
    run(zoo, tmp_path / "b")
    for name in ("documents-00000.parquet", "rejected.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("times", [4_000, 200_000], ids=["small", "large"])
def test_bytes_that_do_not_fit_what_the_sample_showed_are_named(times: int, tmp_path: Path) -> None:
    data = "Все счастливые семьи похожи\n".encode("cp1251") * times
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "mixed.txt").write_bytes(data + b"\x98\n")
    (tmp_path / "in" / "whole.txt").write_bytes(data)
    facts, _ = run(tmp_path / "in", tmp_path / "out")
    assert facts["encodings"] == {"windows-1251": 1}
    assert facts["notes"] == {"read as windows-1251": 1}
    assert f"byte 0x98 at offset {len(data):,}" in rejected(tmp_path / "out")["mixed.txt"]


def test_replacing_takes_what_would_be_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("“It’s late.”\n".encode() * 50 + b"\xff!\n")
    with pytest.raises(
        CorpusError, match=r"a\.txt holds no text that can be read: not quite UTF-8: byte 0xFF at offset 950"
    ):
        run(tmp_path / "a.txt", tmp_path / "strict")
    _, parts = run(tmp_path / "a.txt", tmp_path / "out", errors="replace")
    assert parts[0].text.decode().endswith("\ufffd!\n")


@pytest.mark.parametrize(
    ("data", "newline", "noted"),
    [
        (b"one\rtwo\r", "keep", True),
        (b"one\rtwo\r" * 3_000_000, "keep", True),
        ("caf\u00e9\rtwo\r".encode("utf-16"), "keep", True),
        (b"one\rtwo\r", "lf", False),
        (b"one\r\ntwo\r\n", "keep", False),
        (b"one\rtwo\n", "keep", False),
        (b"one", "keep", False),
    ],
    ids=["cr", "large", "utf-16", "read as lf", "cr lf", "both", "neither"],
)
def test_text_whose_lines_end_with_cr_alone_has_a_note(
    tmp_path: Path, data: bytes, newline: str, noted: bool
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_bytes(data)
    (tmp_path / "texts" / "b.txt").write_text("plain\n")
    (tmp_path / "out").mkdir()
    config = CorpusConfig(sources=["x"], newline=newline)
    ingest(Fetched("texts", path=tmp_path / "texts"), config, tmp_path / "out")
    found = [(path, note) for path, note in read_notes(tmp_path / "out") if "corpus.newline=lf" in note]
    assert [path for path, _ in found] == (["a.txt"] if noted else [])
