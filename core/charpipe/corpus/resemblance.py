"""Whether two texts have something in common, by small sketches of them.

A sketch is the smallest hashes of a text's lines. Up to the end of the shorter one both are complete, and the share of
hashes in common estimates the share of lines in common (Broder 1997).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

from charpipe.corpus.documents import read_batches, texts

SIZE = 256
"""Hashes in a sketch."""
BYTES = 4 << 20
"""Bytes of text that a sketch is made of, from the start of the corpus."""
MIN_LINE = 24
"""Shorter lines, in bytes, are not counted: different texts have them in common."""
CHUNK = 64
RELATED = 0.1
"""The share of the smaller text's lines that related texts have in common at least."""


def sketch_of(folder: Path) -> list[str]:
    """The sketch of the documents in `folder`, as hexadecimal hashes in order."""
    hashes = {blake2b(piece, digest_size=8).hexdigest() for piece in _pieces(folder)}
    return sorted(hashes)[:SIZE]


def are_related(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether the texts of two sketches have enough in common to count as versions of one corpus."""
    if not one or not other:
        return not one and not other
    reach = min(one[-1] if len(one) >= SIZE else "g", other[-1] if len(other) >= SIZE else "g")
    mine, theirs = ({each for each in sketch if each <= reach} for sketch in (one, other))
    smaller = min(len(mine), len(theirs))
    return smaller > 0 and len(mine & theirs) >= max(1, RELATED * smaller)


def _pieces(folder: Path) -> Iterator[bytes]:
    """Lines of the text; a text without long lines in chunks."""
    left = BYTES
    for batch in read_batches(folder, columns=["text"]):
        for view in texts(batch):
            text = bytes(view[:left])
            left -= len(text)
            lines = [line.strip() for line in text.splitlines()]
            long = [line for line in lines if MIN_LINE <= len(line) <= 4096]
            yield from long or (text[at : at + CHUNK] for at in range(0, len(text), CHUNK))
            if left <= 0:
                return
