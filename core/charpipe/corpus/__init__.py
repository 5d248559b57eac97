"""Corpora: ingest a path, an archive, a package or a URL into Parquet documents, in little memory.

Imports that need pyarrow are lazy, so that the settings load without it.
"""

from typing import TYPE_CHECKING

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.lazy import names

if TYPE_CHECKING:
    from charpipe.corpus.documents import read_batches, read_documents
    from charpipe.corpus.fingerprint import fingerprint
    from charpipe.corpus.ingestion import ingest
    from charpipe.corpus.sources import discard, fetch, fetched_here

__getattr__ = names(
    __name__,
    {
        "discard": "sources",
        "fetch": "sources",
        "fetched_here": "sources",
        "fingerprint": "fingerprint",
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
