"""Read the text of one file, folder or stream given to a command, by the same rules as a corpus."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.documents import read_documents
from charpipe.corpus.file_lists import read_notes, read_rejected
from charpipe.corpus.ingestion import ingest
from charpipe.errors import CorpusError, UsageError
from charpipe.plugin import Fetched
from charpipe.store.paths import printable

STDIN = "-"
NAMED = 3
"""Maximum number of files that notices name."""


@dataclass(frozen=True)
class Text:
    """`text` is the beginning (if `whole`, all) of a text of `characters` characters; `notices` say how it was read."""

    text: str
    name: str
    characters: int
    notices: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether `text` is the complete text."""
        return len(self.text) == self.characters


def read_text(file: str | Path, config: CorpusConfig, most: int | None = None) -> Text:
    """Read the text of a file (`-`: standard input), at most its first `most` characters.

    Encodings, byte order marks, newlines, compressed files, archives and folders are handled by the rules and settings
    of a corpus; the texts of several files are concatenated. Raises UsageError if nothing can be read.
    """
    with ExitStack() as stack:
        fetched = stack.enter_context(_fetched(file))
        name = fetched.details["name"]
        if fetched.path is not None and fetched.path.is_file() and not fetched.path.stat().st_size:
            return Text("", name, 0)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="charpipe-")))
        return _ingested(fetched, config, folder, name, most)


def _ingested(fetched: Fetched, config: CorpusConfig, folder: Path, name: str, most: int | None) -> Text:
    try:
        facts = ingest(fetched, config, folder)
    except CorpusError as error:
        raise UsageError(str(error)) from error
    parts: list[str] = []
    characters = facts["characters"] + (facts["documents"] if config.ends else 0)
    left = characters if most is None else most
    for part in read_documents(folder):
        parts.append(part.text.decode()[:left])
        left -= len(parts[-1])
        if left <= 0:
            break
    return Text(
        "".join(parts), name, characters, tuple(_notices(folder, name, facts, config.documents == "file"))
    )


def _notices(folder: Path, name: str, facts: Mapping[str, Any], by_file: bool) -> Iterator[str]:
    """Notices about how the text was read; none for one file of plain UTF-8."""
    if facts["documents"] == 1 and not facts["rejected"]:
        yield from (f"{name}: {note}" for _, note in read_notes(folder))
        return
    if by_file:
        yield f"{name}: the texts of {facts['documents']:,} files, one after another"
    for path, note in islice(read_notes(folder), NAMED):
        yield f"{path}: {note}"
    for path, reason in islice(read_rejected(folder), NAMED):
        yield f"{path} was left out: {reason}"
    if facts["rejected"] > NAMED:
        yield f"and {facts['rejected'] - NAMED:,} more files were left out"


@contextmanager
def _fetched(file: str | Path) -> Iterator[Fetched]:
    """The source to ingest; a stream (standard input, a pipe) is first copied to a temporary file."""
    path = Path(file)
    if str(file) == STDIN:
        with _copy(sys.stdin.buffer, "standard input") as copied:
            yield copied
        return
    name = printable(path.name or str(path))
    try:
        path.stat()
        if path.is_dir() or path.is_file():
            yield Fetched(printable(str(path)), path=path, details={"name": name})
            return
        stream = path.open("rb")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"{printable(str(path))} cannot be read: {reason}; give the path of a text"
        ) from error
    with stream, _copy(stream, printable(str(path))) as copied:
        yield copied


@contextmanager
def _copy(stream: BinaryIO, name: str) -> Iterator[Fetched]:
    with tempfile.TemporaryDirectory(prefix="charpipe-") as folder:
        target = Path(folder) / "input"
        with target.open("wb") as copied:
            shutil.copyfileobj(stream, copied)
        yield Fetched(name, path=target, details={"name": name})
