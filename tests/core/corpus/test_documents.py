"""Parquet is opened with suspicion: whatever is wrong, the error names the file and what was expected."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from charpipe.corpus import document_writer
from charpipe.corpus.document_writer import DocumentWriter
from charpipe.corpus.documents import SCHEMA, Part, read_documents
from charpipe.errors import CorpusError

ROW = Part("a.txt", 0, "0" * 64, 3, "utf-8", 2, "é!".encode())


def test_rows_come_back(tmp_path: Path) -> None:
    with DocumentWriter(tmp_path) as writer:
        writer.add(ROW)
    assert list(read_documents(tmp_path)) == [ROW]
    table = pq.read_table(tmp_path / "documents-00000.parquet")
    assert table.column_names == ["path", "part", "sha256", "bytes", "encoding", "characters", "text"]
    assert table["text"].to_pylist() == ["é!"]


def test_shards_keep_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_writer, "GROUP_BYTES", 4)
    monkeypatch.setattr(document_writer, "SHARD_BYTES", 10)
    rows = [Part(f"{at}", 0, "", 3, "utf-8", 2, f"{at:03}".encode()) for at in range(20)]
    with DocumentWriter(tmp_path) as writer:
        for row in rows:
            writer.add(row)
    assert writer.shards == 5
    assert list(read_documents(tmp_path)) == rows


@pytest.mark.parametrize("keep", [0, 10, -1, -20])
def test_truncated(keep: int, tmp_path: Path) -> None:
    with DocumentWriter(tmp_path) as writer:
        writer.add(ROW)
    path = tmp_path / "documents-00000.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(
        CorpusError, match=r"documents-00000\.parquet is not a whole Parquet file of charpipe"
    ):
        list(read_documents(tmp_path))


def test_missing_column_wrong_type_and_invalid_text(tmp_path: Path) -> None:
    path = tmp_path / "documents-00000.parquet"
    pq.write_table(pa.table({"path": ["a"], "text": ["b"]}), path)
    with pytest.raises(CorpusError, match=r"documents-00000\.parquet has no column 'part'"):
        list(read_documents(tmp_path))
    columns = {name: [getattr(ROW, name)] for name in SCHEMA.names}
    pq.write_table(pa.table({**columns, "text": ["x"], "part": ["0"]}), path)
    with pytest.raises(CorpusError, match=r"column 'part' is string; .* needs int32"):
        list(read_documents(tmp_path))
    bad = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    arrays = [pa.array(columns[name], SCHEMA.field(name).type) for name in SCHEMA.names[:-1]]
    pq.write_table(pa.table([*arrays, bad], schema=SCHEMA), path)
    with pytest.raises(CorpusError, match="Invalid UTF8"):
        list(read_documents(tmp_path))


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no documents"):
        list(read_documents(tmp_path))
