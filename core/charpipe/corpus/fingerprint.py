"""Fingerprint of a source: a digest of its content, independent of file times and location.

Digests are cached by path, size, times and inode, so that unchanged files are not read again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.exclusions import LeftOut
from charpipe.corpus.members import NOTHING, walk
from charpipe.corpus.selection import Selection
from charpipe.errors import CorpusError, StoreError
from charpipe.plugin import Fetched
from charpipe.store.atomic import write_text
from charpipe.store.digest import digest_of_file
from charpipe.store.paths import printable

_CACHE_NAME = "fingerprints.json"
_SETTLED_NS = 2 * 10**9


@dataclass(frozen=True)
class Survey:
    """The content of a source.

    `digest`: of everything that would be ingested. `contents`: for a folder, each selected file's SHA-256 by path, or
    the reason why it cannot be read.
    """

    digest: str
    contents: Mapping[str, str] = field(default_factory=dict)

    def changed_since(self, earlier: Survey) -> list[str]:
        """The files of a folder that were added, removed or changed."""
        paths = sorted({*self.contents, *earlier.contents})
        return [path for path in paths if self.contents.get(path) != earlier.contents.get(path)]


class ChangedError(CorpusError):
    """Files of a folder changed while it was read. `paths` are relative to the folder."""

    def __init__(self, origin: str, paths: Iterable[str]) -> None:
        self.paths = frozenset(paths)
        names = sorted(printable(path) for path in self.paths)
        more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        super().__init__(
            f"{origin} changed while it was read: {', '.join(names[:3])}{more}; nothing was kept. "
            "Go on without what changes: --set corpus.changed=skip, or leave it out with corpus.exclude"
        )


def fingerprint(fetched: Fetched, config: CorpusConfig, cache: Path) -> str:
    """The digest of `survey`."""
    return survey(fetched, config, cache).digest


def survey(fetched: Fetched, config: CorpusConfig, cache: Path, left_out: LeftOut = NOTHING) -> Survey:
    """Digest what would be ingested: the file's bytes, or every selected file's path and bytes.

    `cache` is a folder for cached digests of files. Raises CorpusError if a single file cannot be read; an unreadable
    file in a folder is recorded as unreadable.
    """
    if fetched.text is not None:
        return Survey(hashlib.sha256(b"text\0" + fetched.text.encode()).hexdigest())
    if fetched.path is None:
        raise CorpusError(f"{fetched.origin} holds neither a file nor a text")
    known = _KnownFiles(cache / _CACHE_NAME)
    try:
        if not fetched.path.is_dir():
            return Survey(known.sha256(fetched.path, fetched.path.stat()))
        digest, contents = hashlib.sha256(b"folder\0"), {}
        selection = Selection(config.include, config.exclude, fetched.only)
        for path, found, why_not in walk(fetched.path, selection, left_out):
            content = why_not or _content(known, fetched.path / path, found)
            digest.update(f"{path}\0{content}\n".encode("utf-8", "surrogateescape"))
            contents[path] = content
        return Survey(digest.hexdigest(), contents)
    except OSError as error:
        raise CorpusError(f"{fetched.path} cannot be read: {error.strerror}") from error
    finally:
        known.save()


def _content(known: _KnownFiles, path: Path, found: os.stat_result | None) -> str:
    if found is None:
        return "unreadable"
    try:
        return known.sha256(path, found)
    except OSError as error:
        return f"unreadable: {error.strerror}"


class _KnownFiles:
    """Cache of file digests by path, size, times, inode and device. Losing it costs only time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = False
        self._known: dict[str, list[object]] = {}
        try:
            loaded = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return
        if isinstance(loaded, dict):
            self._known = {key: value for key, value in loaded.items() if isinstance(value, list)}

    def sha256(self, path: Path, found: os.stat_result) -> str:
        key = os.fspath(path.absolute())
        marks = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]
        match self._known.get(key):
            case [*kept, str(digest)] if kept == marks:
                return digest
        if not stat.S_ISREG(found.st_mode):
            return "special file"
        digest = digest_of_file(path)
        # a file written just now could change again within the clock's resolution without a new time
        if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS:
            self._known[key] = [*marks, digest]
            self._changed = True
        return digest

    def save(self) -> None:
        if not self._changed:
            return
        with contextlib.suppress(OSError, StoreError):
            write_text(self._path, json.dumps(self._known))
