"""The standard library of the interpreter that runs charpipe: a corpus that needs no network."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from charpipe.plugin import CorpusError, Fetched, Fetcher


def fetch(spec: str, fetcher: Fetcher) -> Fetched | None:
    """The folder of the standard library; the corpus's `exclude` leaves out installed packages."""
    folder = _folder(spec)
    if not folder.is_dir():
        return None
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Fetched(f"the standard library of Python {version}", path=folder, details={"version": version})


def there(spec: str, cache: Path) -> bool:
    """Whether this interpreter's library lies in a folder."""
    return _folder(spec).is_dir()


def _folder(spec: str) -> Path:
    if spec != "python:stdlib":
        raise CorpusError(f"the source 'python' knows only python:stdlib, not {spec!r}")
    return Path(sysconfig.get_path("stdlib"))
