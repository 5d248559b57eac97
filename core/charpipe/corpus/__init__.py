"""Corpora: from a path, an archive, a package or a URL to documents in Parquet, in little memory.

Its settings are read without importing pyarrow, so what needs it is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from charpipe.corpus.settings import CorpusConfig

if TYPE_CHECKING:
    from charpipe.corpus.documents import read_batches, read_documents
    from charpipe.corpus.fetching import fetch, fetched_here
    from charpipe.corpus.hashing import fingerprint
    from charpipe.corpus.ingestion import ingest

_ROOMS = {
    "fetch": "fetching",
    "fetched_here": "fetching",
    "fingerprint": "hashing",
    "ingest": "ingestion",
    "read_batches": "documents",
    "read_documents": "documents",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["CorpusConfig", "fetch", "fetched_here", "fingerprint", "ingest", "read_batches", "read_documents"]
