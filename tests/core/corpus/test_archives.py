"""Archives as corpora: every format gives the same documents; hostile ones give nothing and reach nothing."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.documents import read_documents
from charpipe.corpus.ingestion import ingest
from charpipe.corpus.limits import Limits
from charpipe.errors import CorpusError
from charpipe.plugin import Fetched

FILES = {"top/a.c": b"int a;\n" * 3000, "top/" + "deep/" * 40 + "b.c": "ü\n".encode(), "top/c.txt": b"no"}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def tar(files: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def special(**fields: Any) -> bytes:
    """A tar with one good file and one member of the given fields."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("bad.c")
        for name, value in fields.items():
            setattr(info, name, value)
        archive.addfile(info, io.BytesIO(b"x" * info.size))
        good = tarfile.TarInfo("good.c")
        good.size = 4
        archive.addfile(good, io.BytesIO(b"good"))
    return out.getvalue()


def deb(data: bytes, name: str = "data.tar.xz") -> bytes:
    def member(name: str, body: bytes) -> bytes:
        return (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode()
            + body
            + b"\n" * (len(body) % 2)
        )

    return (
        b"!<arch>\n" + member("debian-binary", b"2.0\n") + member("control.tar", b"odd") + member(name, data)
    )


def read(
    data: bytes,
    tmp_path: Path,
    name: str = "archive",
    limits: Limits | None = None,
    include: tuple[str, ...] = ("*.c",),
) -> tuple[dict[str, bytes], dict[str, str]]:
    path = tmp_path / name
    path.write_bytes(data)
    out = tmp_path / "out"
    out.mkdir()
    ingest(Fetched(name, path=path), CorpusConfig(sources=["x"], include=["*.c"]), out, limits=limits)
    table = pq.read_table(out / "rejected.parquet")
    rejected = dict(zip(table["path"].to_pylist(), table["reason"].to_pylist(), strict=True))
    return {part.path: part.text for part in read_documents(out)}, rejected


EXPECTED = {name: data for name, data in FILES.items() if name.endswith(".c")}


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_tar(suffix: str, kind: int, tmp_path: Path) -> None:
    assert read(PACKERS[suffix](tar(FILES, kind)), tmp_path, f"a.tar{suffix}") == (EXPECTED, {})


@pytest.mark.parametrize("suffix", [suffix for suffix in PACKERS if suffix])
def test_a_single_compressed_file_takes_its_name(suffix: str, tmp_path: Path) -> None:
    text = "hello ü\r\n".encode() * 100
    assert read(PACKERS[suffix](text), tmp_path, f"note.txt{suffix}") == ({"note.txt": text}, {})


def test_several_streams_in_one_file(tmp_path: Path) -> None:
    assert read(gzip.compress(b"one ") + gzip.compress(b"two"), tmp_path, "a.txt.gz")[0] == {
        "a.txt": b"one two"
    }
    xz = lzma.compress(b"one ") + b"\0" * 8 + lzma.compress(b"two")
    (tmp_path / "x").mkdir()
    assert read(xz, tmp_path / "x", "a.txt.xz")[0] == {"a.txt": b"one two"}


def test_zip(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
        archive.mkdir("folder.c")
    assert read(out.getvalue(), tmp_path) == (EXPECTED, {})


@pytest.mark.parametrize("suffix", [".xz", ".zst", ""])
def test_a_debian_package_is_opened_through_to_the_source(suffix: str, tmp_path: Path) -> None:
    inner = {
        "./usr/share/doc/readme.c": b"doc",
        "./usr/src/linux-source-6.1/linux-source-6.1.tar.xz": lzma.compress(tar(FILES)),
    }
    data = PACKERS[suffix](tar(inner))
    assert read(deb(data, f"data.tar{suffix}"), tmp_path) == (
        {**EXPECTED, "usr/share/doc/readme.c": b"doc"},
        {},
    )


@pytest.mark.parametrize("name", ["../up.c", "/etc/abs.c", "a/../../b.c", "C:\\x.c", "..\\x.c"])
def test_paths_that_lead_elsewhere(name: str, tmp_path: Path) -> None:
    texts, rejected = read(special(name=name, size=3), tmp_path)
    assert texts == {"good.c": b"good"}
    assert "unsafe path" in rejected[name]
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "out"}


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.FIFOTYPE, "device"),
    ],
)
def test_links_and_devices(kind: bytes, why: str, tmp_path: Path) -> None:
    texts, rejected = read(special(type=kind, linkname="/etc/passwd"), tmp_path)
    assert texts == {"good.c": b"good"}
    assert why in rejected["bad.c"]


def test_duplicates_keep_the_first(tmp_path: Path) -> None:
    texts, rejected = read(special(name="good.c", size=3), tmp_path)
    assert texts == {"good.c": b"xxx"}
    assert "duplicate" in rejected["good.c"]


def test_a_huge_claim(tmp_path: Path) -> None:
    info = tarfile.TarInfo("bad.c")
    info.size = 2**62
    with pytest.raises(CorpusError, match="claims 4,611,686,018,427,387,904 bytes"):
        read(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 1024, tmp_path)


def test_a_claim_that_is_not_kept(tmp_path: Path) -> None:
    info = tarfile.TarInfo("bad.c")
    info.size = 2**33
    with pytest.raises(CorpusError, match="ends too early"):
        read(info.tobuf(tarfile.GNU_FORMAT) + b"x" * 1024, tmp_path)


def test_a_huge_name(tmp_path: Path) -> None:
    info = tarfile.TarInfo("bad")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**30
    with pytest.raises(CorpusError, match="for a name"):
        read(info.tobuf(tarfile.GNU_FORMAT), tmp_path)


def test_too_many_members(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="more than 50 members"):
        read(tar({f"{at}.c": b"" for at in range(51)}), tmp_path, limits=Limits(members=50))


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_ratio_bomb(suffix: str, tmp_path: Path) -> None:
    bomb = PACKERS[suffix](bytes(20 * 2**20))
    with pytest.raises(CorpusError, match="more than 250 times its size"):
        read(bomb, tmp_path, "a.c" + suffix, limits=Limits(ratio_after=2**20))


def test_a_zip_bomb_and_a_zip_with_a_huge_directory(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.c", bytes(20 * 2**20))
    with pytest.raises(CorpusError, match="more than 250 times its size"):
        read(out.getvalue(), tmp_path, limits=Limits(ratio_after=2**20))
    (tmp_path / "b").mkdir()
    with pytest.raises(CorpusError, match="directory of"):
        read(out.getvalue(), tmp_path / "b", limits=Limits(zip_directory_bytes=10))


@pytest.mark.parametrize("suffix", PACKERS)
def test_truncated(suffix: str, tmp_path: Path) -> None:
    data = PACKERS[suffix](tar(FILES))
    with pytest.raises(CorpusError, match=r"damaged|too early"):
        read(data[: len(data) // 3], tmp_path, "a.tar" + suffix)


def test_damaged_archives_name_themselves(tmp_path: Path) -> None:
    for at, data in enumerate([b"PK\x03\x04rest", b"!<arch>\ndebian-binary   ", b"\x1f\x8b\x08rest"]):
        (tmp_path / str(at)).mkdir()
        with pytest.raises(CorpusError, match="broken"):
            read(data, tmp_path / str(at), "broken")
