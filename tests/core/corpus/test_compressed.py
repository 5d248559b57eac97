"""Compressed files in folders and archives are read as what they hold, under limits."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from charpipe.corpus import CorpusConfig, ingest, read_documents
from charpipe.corpus.file_lists import read_rejected
from charpipe.corpus.limits import LimitError, Limits
from charpipe.plugin import Fetched

TEXT = "“It’s late.”\n".encode() * 200
PACKED = {
    "a.gz": gzip.compress(TEXT, mtime=0),
    "b.bz2": bz2.compress(TEXT),
    "c.xz": lzma.compress(TEXT),
    "d.zst": zstandard.compress(TEXT),
}


def archive() -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as tar:
        for name, data in PACKED.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return held.getvalue()


def zip_archive() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as packed:
        for name, data in PACKED.items():
            packed.writestr(name, data)
    return held.getvalue()


def read(source: Path, out: Path, limits: Limits | None = None) -> tuple[dict[str, bytes], dict[str, str]]:
    out.mkdir()
    ingest(Fetched("x", path=source), CorpusConfig(sources=["x"]), out, limits=limits)
    return {part.path: part.text for part in read_documents(out)}, dict(read_rejected(out))


def test_compressed_files_of_a_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, data in PACKED.items():
        (tmp_path / "in" / name).write_bytes(data)
    assert read(tmp_path / "in", tmp_path / "out") == (dict.fromkeys(PACKED, TEXT), {})


@pytest.mark.parametrize("packed", [archive(), zip_archive()], ids=["tar", "zip"])
def test_compressed_members_of_an_archive_are_read(packed: bytes, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(packed)
    assert read(tmp_path / "in", tmp_path / "out") == (dict.fromkeys(PACKED, TEXT), {})


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (PACKED["a.gz"][:-9], "damaged"),
        (gzip.compress(bytes(range(256)) * 99, mtime=0)[:40], "damaged"),
        (gzip.compress(PACKED["b.bz2"], mtime=0), "compressed twice"),
        (archive(), "an archive within the corpus"),
        (zip_archive(), "an archive within the corpus"),
        (gzip.compress(b"%PDF-1.4 and so on", mtime=0), "PDF"),
    ],
)
def test_what_cannot_be_read_is_listed_and_the_rest_is_read(data: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad").write_bytes(data)
    (tmp_path / "in" / "good.txt").write_bytes(b"text")
    texts, rejected = read(tmp_path / "in", tmp_path / "out")
    assert texts == {"good.txt": b"text"}
    assert why in rejected["bad"]


def test_a_bomb_in_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bomb.gz").write_bytes(gzip.compress(b"a" * 3_000_000))
    with pytest.raises(LimitError, match=r"bomb\.gz unpacks to more than 250 times"):
        read(tmp_path / "in", tmp_path / "out", Limits(ratio_after=1_000_000))


def test_many_small_bombs_share_one_limit(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for at in range(20):
        (tmp_path / "in" / f"{at}.gz").write_bytes(gzip.compress(b"a" * 200_000))
    with pytest.raises(LimitError, match="more than 250 times"):
        read(tmp_path / "in", tmp_path / "out", Limits(ratio_after=1_000_000))
