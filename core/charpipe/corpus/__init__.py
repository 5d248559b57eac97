"""Corpora: from a path, an archive, a package or a URL to documents in Parquet, in little memory.

Its settings are read without importing pyarrow, so what needs it is imported when it is first used.
"""

from typing import TYPE_CHECKING

from charpipe.corpus.settings import CorpusConfig
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.corpus.documents import read_batches, read_documents
    from charpipe.corpus.fetching import discard, fetch, fetched_here
    from charpipe.corpus.hashing import fingerprint
    from charpipe.corpus.ingestion import ingest

__getattr__ = names(
    __name__,
    {
        "discard": "fetching",
        "fetch": "fetching",
        "fetched_here": "fetching",
        "fingerprint": "hashing",
        "ingest": "ingestion",
        "read_batches": "documents",
        "read_documents": "documents",
    },
)


__all__ = [
    "CorpusConfig",
    "discard",
    "fetch",
    "fetched_here",
    "fingerprint",
    "ingest",
    "read_batches",
    "read_documents",
]
