"""Documents within files, and the character that marks their ends.

With `ends`, each document's text ends with U+0003 (END OF TEXT), which a model learns to write like any other
character. No document may contain it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.decoding import PART
from charpipe.errors import UsageError

END = "\x03"
NAME = "U+0003"
_END = END.encode()
EMPTY = "empty: it would be a document without a character"


def with_end(parts: Iterable[bytes], path: str) -> Iterator[bytes]:
    """The UTF-8 of a document, part by part, with an end; nothing for an empty one.

    Raises UsageError where the text contains the character itself.
    """
    held = b""
    for part in parts:
        if _END in part:
            raise UsageError(
                f"{path} contains the character {NAME}, with which ends = true marks the ends of documents; remove it "
                "from the text, or leave ends out; nothing was kept"
            )
        if held:
            yield held
        held = part
    if held:
        yield held + _END


class Divided:
    """The documents within a file: an iterator over (number of the first line, text in UTF-8).

    With ends, a document has no line end of its own, and empty lines are left out; without, all documents joined are
    the file. `empty` counts the lines that were left out, as far as they are documents otherwise. Raises UsageError
    for a document beyond 16 MB.
    """

    def __init__(self, parts: Iterable[bytes], config: CorpusConfig, path: str) -> None:
        self._parts, self._config, self._path = parts, config, path
        self.empty = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        found = self._by_line() if self._config.documents == "line" else self._by_block()
        for number, text in found:
            if len(text) >= PART:
                raise self._too_long(number)
            if not self._config.ends:
                yield number, text
                continue
            bare = text.removesuffix(b"\n").removesuffix(b"\r")
            self.empty += not bare
            for whole in with_end([bare], f"{self._path}, line {number},"):
                yield number, whole

    def _by_line(self) -> Iterator[tuple[int, bytes]]:
        number, held = 1, b""
        for part in self._parts:
            lines = (held + part).split(b"\n")
            held = lines.pop()
            for line in lines:
                yield number, line + b"\n"
                number += 1
            if len(held) >= PART:
                raise self._too_long(number)
        if held:
            yield number, held

    def _by_block(self) -> Iterator[tuple[int, bytes]]:
        """Blocks of lines with blank lines, of white space alone, between them."""
        held: list[bytes] = []
        first, size, ended = 1, 0, False
        for number, line in self._by_line():
            blank = not line.strip()
            if ended and not blank:
                yield first, b"".join(held)
                held, size, ended = [], 0, False
            ended = ended or (blank and size > 0)
            if blank and self._config.ends:
                continue
            first = first if held else number
            held.append(line)
            size += 0 if blank and not size else len(line)
            if size >= PART:
                raise self._too_long(first)
        if held:
            yield first, b"".join(held)

    def _too_long(self, number: int) -> UsageError:
        kind = "line" if self._config.documents == "line" else "block of lines"
        return UsageError(
            f"{self._path}: the {kind} from line {number:,} on has {PART // 10**6} MB or more, too much for a document "
            f'of documents = "{self._config.documents}"; type --set corpus.documents=file; nothing was kept'
        )
