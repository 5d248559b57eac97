"""Taking unchanged documents from an earlier version changes the time, and not one byte of what comes out."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus import document_writer, file_lists, ingestion
from charpipe.corpus.fingerprint import survey
from charpipe.corpus.ingestion import ingest, printable
from charpipe.corpus.previous_version import PreviousVersion
from charpipe.errors import CorpusError
from charpipe.plugin import Fetched

NAMES = ["a.txt", "a/b.txt", "a/c.txt", "b.txt", "sub/x.txt", "sub/y/z.txt", "z.txt", "\udcff.txt"]
CONTENTS = [
    b"",
    b"x",
    b"caf\xe9 latin",
    b"\0\xff binary",
    "weiß\r\n".encode(),
    b"long " * 400,
    b"same",
    b"\r\n\r",
]
Version = dict[str, bytes]
versions = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(CONTENTS), max_size=8).map(
        lambda found: {"always.txt": b"a document", **found}
    ),
    min_size=2,
    max_size=5,
)


def write(folder: Path, version: Version) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in version.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def run(folder: Path, out: Path, before: Path | None, **config: str) -> tuple[dict, PreviousVersion | None]:
    out.mkdir()
    fetched, settings = Fetched("x", path=folder), CorpusConfig(sources=["x"], **config)
    found = survey(fetched, settings, folder.parent / "cache").contents
    earlier = (
        PreviousVersion(before, {printable(path): digest for path, digest in found.items()})
        if before
        else None
    )
    return ingest(fetched, settings, out, earlier=earlier), earlier


def same(one: Path, other: Path) -> bool:
    files = sorted(path.name for path in one.iterdir())
    assert files == sorted(path.name for path in other.iterdir())
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in files)


@given(versions, st.sampled_from(["keep", "lf"]), st.sampled_from([1, 50, 700, 10**6]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_changes_gives_what_a_full_ingest_gives(
    history: list[Version], newline: str, group: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(document_writer, "GROUP_BYTES", group)
        patch.setattr(document_writer, "GROUP_ROWS", 5)
        patch.setattr(file_lists, "GROUP_ROWS", 5)
        patch.setattr(document_writer, "SHARD_BYTES", 900)
        root, before = Path(folder), None
        for at, version in enumerate(history):
            write(root / "in", version)
            full, _ = run(root / "in", root / f"full{at}", None, newline=newline)
            facts, _ = run(root / "in", root / f"made{at}", before, newline=newline)
            assert facts == full
            assert same(root / f"made{at}", root / f"full{at}")
            before = root / f"made{at}"


def test_only_what_changed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "in", {f"{at:03}.txt": b"document %d " % at * 9 for at in range(50)})
    run(tmp_path / "in", tmp_path / "one", None)
    (tmp_path / "in" / "007.txt").write_bytes(b"changed")
    (tmp_path / "in" / "008.txt").unlink()
    (tmp_path / "in" / "new.txt").write_bytes(b"new")
    read = []
    classify = ingestion.classify
    monkeypatch.setattr(
        ingestion, "classify", lambda data, *settings: read.append(data) or classify(data, *settings)
    )
    facts, earlier = run(tmp_path / "in", tmp_path / "two", tmp_path / "one")
    assert read == [b"changed", b"new"]
    assert earlier is not None
    assert (facts["documents"], earlier.documents) == (50, 48)


def test_a_document_of_many_parts_is_taken_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "PART", 1000)
    monkeypatch.setattr("charpipe.corpus.decoding.PART", 1000)
    monkeypatch.setattr(document_writer, "GROUP_BYTES", 1700)
    write(tmp_path / "in", {"a.txt": b"small", "big.txt": "größer ".encode() * 900, "c.txt": b"end"})
    run(tmp_path / "in", tmp_path / "one", None)
    (tmp_path / "in" / "a.txt").write_bytes(b"another start")
    _, earlier = run(tmp_path / "in", tmp_path / "two", tmp_path / "one")
    run(tmp_path / "in", tmp_path / "full", None)
    assert earlier is not None and earlier.documents == 2
    assert same(tmp_path / "two", tmp_path / "full")


def test_a_damaged_earlier_version_is_an_error_that_names_it(tmp_path: Path) -> None:
    write(tmp_path / "in", {"a.txt": b"text"})
    run(tmp_path / "in", tmp_path / "one", None)
    (tmp_path / "one" / "documents-00000.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(CorpusError, match="documents-00000"):
        run(tmp_path / "in", tmp_path / "two", tmp_path / "one")
