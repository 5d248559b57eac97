"""Files, archives and folders of this machine, by path or by glob."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from urllib.parse import unquote

from charpipe.plugin import CorpusError, Fetched, Fetcher, existing, printable


def fetch(spec: str, fetcher: Fetcher) -> Fetched | None:
    """What lies at a path. Of a glob's several matches the highest version is taken, by name."""
    found = _find(spec)
    if found is None:
        return None
    if not (found.is_file() or found.is_dir()):
        raise CorpusError(f"{found} is neither a file nor a folder")
    if not os.access(found, os.R_OK):
        raise CorpusError(f"{found} cannot be read: permission denied")
    return Fetched(origin=printable(str(found)), path=found)


def there(spec: str, cache: Path) -> bool:
    """Whether the path exists, or the glob matches anything."""
    return _find(spec) is not None


def by_version(name: str) -> list[tuple[int, int, str]]:
    """A sorting key that puts 6.10 after 6.9."""
    return [
        (1, int(piece), "") if piece.isdigit() else (0, 0, piece)
        for piece in re.split(r"(\d+)", name)
        if piece
    ]


def _find(spec: str) -> Path | None:
    plain = (
        unquote(spec.removeprefix("file://")) if spec.startswith("file://") else spec.removeprefix("file:")
    )
    if (there := existing(plain)) is not None:
        return there
    pattern = os.path.expandvars(os.path.expanduser(plain))  # noqa: PTH111  an unknown user stays as written
    if Path(pattern).exists():
        return Path(pattern)
    if not glob.has_magic(pattern):
        return None
    matches = sorted(glob.glob(pattern, recursive=True), key=by_version)  # noqa: PTH207 absolute patterns too
    return Path(matches[-1]) if matches else None
