"""Fingerprint of a source: a digest of its content, independent of file times and location.

Digests are cached by path, size, times and inode, so that unchanged files are not read again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.contents import Contents
from charpipe.corpus.exclusions import LeftOut
from charpipe.corpus.known_files import KnownFiles
from charpipe.corpus.members import NOTHING, walk
from charpipe.corpus.selection import Selection
from charpipe.errors import CorpusError
from charpipe.plugin import Fetched
from charpipe.store.paths import printable
from charpipe.store.sqlite import database_errors


@dataclass(frozen=True)
class Survey:
    """The content of a source.

    `digest`: of everything that would be ingested. `contents`: for a folder, each selected file's SHA-256 by path, or
    the reason why it cannot be read.
    """

    digest: str
    contents: Contents = field(default_factory=Contents)
    bytes: int = 0
    """Of the file, or of all selected files of the folder."""

    def changed_since(self, earlier: Survey) -> list[str]:
        """The files of a folder that were added, removed or changed."""
        if self.digest == earlier.digest:
            return []
        changed = {path for path, content in self.contents.items() if earlier.contents.get(path) != content}
        return sorted(changed | {path for path in earlier.contents if path not in self.contents})


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
    known = KnownFiles(cache)
    try:
        if not fetched.path.is_dir():
            status = fetched.path.stat()
            return Survey(known.sha256(fetched.path, status), bytes=status.st_size)
        with database_errors(fetched.origin):
            return _survey_folder(fetched.path, Selection.of(config, fetched.only), known, left_out)
    except OSError as error:
        raise CorpusError(f"{fetched.path} cannot be read: {error.strerror}") from error
    finally:
        known.save()


def _survey_folder(root: Path, selection: Selection, known: KnownFiles, left_out: LeftOut) -> Survey:
    digest, contents, size = hashlib.sha256(b"folder\0"), Contents(), 0
    for path, found, why_not in walk(root, selection, left_out):
        content = why_not or _content(known, root / path, found)
        digest.update(f"{path}\0{content}\n".encode("utf-8", "surrogateescape"))
        contents.add(path, content)
        size += found.st_size if found is not None and not why_not else 0
    return Survey(digest.hexdigest(), contents, size)


def _content(known: KnownFiles, path: Path, found: os.stat_result | None) -> str:
    if found is None:
        return "unreadable"
    try:
        return known.sha256(path, found)
    except OSError as error:
        return f"unreadable: {error.strerror}"
