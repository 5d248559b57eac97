"""A zip archive's directory is read in parts, and gives what zipfile gives of the whole."""

import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus import zip_directory
from charpipe.corpus.documents import read_documents
from charpipe.corpus.ingestion import ingest
from charpipe.corpus.zip_directory import directory_parts
from charpipe.errors import CorpusError
from charpipe.plugin import Fetched

MEMBERS = st.lists(st.tuples(st.text("ab/é", min_size=1, max_size=90), st.binary(max_size=50)), max_size=30)


def archive(members: list[tuple[str, bytes]], comment: bytes = b"", before: bytes = b"") -> bytes:
    out = io.BytesIO(before)
    out.seek(0, 2)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as file:
        for at, (name, data) in enumerate(members):
            file.writestr(f"{at}-{name}", data)
        file.comment = comment
    return out.getvalue()


@given(MEMBERS, st.binary(max_size=40), st.sampled_from([b"", b"#!/bin/sh\n"]), st.integers(200, 900))
def test_parts_give_all_members(
    members: list[tuple[str, bytes]], comment: bytes, before: bytes, few: int
) -> None:
    data = archive(members, comment.replace(b"PK", b""), before)
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        expected = [(info.filename, whole.read(info)) for info in whole.infolist()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zip_directory, "FEW_BYTES", few)
        found = [
            (info.filename, part.read(info))
            for part in directory_parts(io.BytesIO(data))
            for info in part.infolist()
        ]
    assert found == expected


def test_an_archive_with_a_large_directory_is_ingested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_directory, "FEW_BYTES", 500)
    path = tmp_path / "a.zip"
    path.write_bytes(archive([(f"{at}.txt", b"text %d" % at) for at in range(60)]))
    (tmp_path / "out").mkdir()
    facts = ingest(Fetched("a.zip", path=path), CorpusConfig(sources=["x"]), tmp_path / "out")
    assert facts["documents"] == 60
    assert [part.text for part in read_documents(tmp_path / "out")] == [b"text %d" % at for at in range(60)]


def test_a_large_directory_that_is_damaged_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zip_directory, "FEW_BYTES", 500)
    data = archive([(f"{at}.txt", b"text %d" % at) for at in range(60)])
    middle = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 900)
    path = tmp_path / "a.zip"
    path.write_bytes(data[:middle] + b"XXXX" + data[middle + 4 :])
    (tmp_path / "out").mkdir()
    with pytest.raises(CorpusError, match="damaged"):
        ingest(Fetched("a.zip", path=path), CorpusConfig(sources=["x"]), tmp_path / "out")
