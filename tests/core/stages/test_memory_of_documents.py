"""The memory of ingest, vocabulary and encode does not grow with the number of documents."""

import importlib
import pkgutil
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest

import golden_corpora
from charpipe import corpus, text
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.fingerprint import survey
from charpipe.corpus.ingestion import ingest
from charpipe.corpus.previous_version import PreviousVersion
from charpipe.plugin import Fetched

FEW, MANY = 500, 2500
BYTES = 60
"""The growth that is tolerated for each further document; it was 520 in charpipe 0.1."""
BUFFERS = {"CHUNK", "GROUP_ROWS", "SORTED_AT_ONCE", "FEW", "_ROWS", "_HELD", "MEMBERS"}
"""Constants that say how many documents are held at once: they are made small, so that buffers are always full."""
POOLS: list[pa.MemoryPool] = []
"""Arrow's memory is freed to the pool it came from, which must live as long."""


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in (corpus, text):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for name in BUFFERS & vars(module).keys():
                monkeypatch.setattr(module, name, 64)


@contextmanager
def measured() -> Iterator[Callable[[], int]]:
    """A function that gives the peak of memory of Python, numpy and Arrow since the beginning, in bytes."""
    previous = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(previous)
    POOLS.append(pool)
    pa.set_memory_pool(pool)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield lambda: tracemalloc.get_traced_memory()[1] - before + (pool.max_memory() or 0)
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(previous)


def peaks(at: Path, count: int) -> dict[str, int]:
    """The peak of each stage for so many documents in a folder and in an archive."""
    files = {f"{number % 7}/{number}.txt": f"document {number} é".encode() for number in range(count)}
    config = CorpusConfig(sources=["x"])
    found: dict[str, int] = {}
    for name, write in (
        ("folder", golden_corpora.folder_of(files)),
        ("archive", golden_corpora.tar_of(files)),
    ):
        fetched = write(golden_corpora.fresh(at / name))
        with measured() as peak:
            documents = golden_corpora.fresh(at / name / "documents")
            contents = survey(fetched, config, at / "cache").contents
            ingest(fetched, config, documents)
            found[f"ingest of a {name}"] = peak()
    found["ingest again"] = ingest_again(at, fetched=Fetched("x", path=at / "folder" / "in"), config=config)
    for setting in ("char", "char-contiguous"):
        for earlier in (None, at / setting / "tokens"):
            tokenizer, split = golden_corpora.ENCODINGS[setting]
            target = at / (setting if earlier is None else f"{setting}-again")
            with measured() as peak:
                dict(golden_corpora.encoded(documents, target, tokenizer, split, earlier))
                found[target.name] = peak()
    assert not contents
    return found


def ingest_again(at: Path, fetched: Fetched, config: CorpusConfig) -> int:
    """The peak when most documents are taken from the earlier version."""
    (at / "folder" / "in" / "0" / "0.txt").write_text("changed")
    with measured() as peak:
        contents = survey(fetched, config, at / "cache").contents
        earlier = PreviousVersion(at / "folder" / "documents", contents.by_printed_path)
        ingest(fetched, config, golden_corpora.fresh(at / "again"), earlier=earlier)
        assert earlier.documents == len(contents) - 1
        return peak()


@pytest.mark.usefixtures("small_buffers")
def test_memory_is_flat_in_the_number_of_documents(tmp_path: Path) -> None:
    peaks(tmp_path / "first", 100)  # imports
    found = growth(tmp_path / "once")
    if any(bytes_ > BYTES for bytes_ in found.values()):
        # a thread that another test left may allocate meanwhile, but hardly twice in the same stage
        again = growth(tmp_path / "again")
        found = {name: min(bytes_, again[name]) for name, bytes_ in found.items()}
    assert {name: bytes_ for name, bytes_ in found.items() if bytes_ > BYTES} == {}, found


def growth(at: Path) -> dict[str, float]:
    """The bytes by which the peak of each stage grows for a further document."""
    few, many = peaks(at / "few", FEW), peaks(at / "many", MANY)
    return {name: (many[name] - few[name]) / (MANY - FEW) for name in few}
