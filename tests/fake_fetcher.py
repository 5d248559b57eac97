"""What charpipe gives a source to fetch with, without a corpus around it."""

from __future__ import annotations

from pathlib import Path


class FakeFetcher:
    """A fetcher that keeps its last progress report: bytes done, bytes in all."""

    def __init__(self, cache: Path, sha256: str | None = None, refresh: bool = False) -> None:
        self.cache, self.sha256, self.refresh = cache, sha256, refresh
        self.told = (0, 0)

    def progress(self, done: int, total: int | None) -> None:
        self.told = (done, total or 0)
