"""For a corpus that is a list of short lines, such as names: the share of generated lines that are new.

A model that memorized the list would score well but generate nothing new. The share of lines that are not in the
corpus shows memorization; the share of repeated lines shows a lack of variety.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_CHARACTERS, MAX_WORDS = 40, 4
"""Maximum number of characters and of words in a line of a list."""
MIN_LINES, SHORT, ODD, DISTINCT = 100, 0.98, 0.01, 0.5
"""A list has at least MIN_LINES lines; at least the share SHORT of them is short, at most ODD is blank or indented, and
at least DISTINCT is distinct."""


@dataclass(frozen=True)
class Novelty:
    """`lines` is the number of generated lines; `novel` the share that is not in the corpus, `duplicate` the share
    that repeats an earlier line; `examples` the first distinct novel lines."""

    lines: int
    novel: float
    duplicate: float
    examples: tuple[str, ...] = ()

    def metrics(self) -> dict[str, float]:
        """As metrics: `{"sample/novel_share": 0.93, "sample/duplicate_share": 0.02, "sample/lines": 1000.0}`."""
        return {
            "sample/novel_share": self.novel,
            "sample/duplicate_share": self.duplicate,
            "sample/lines": float(self.lines),
        }


def is_list(text: str) -> bool:
    """Whether a text (or a prefix of one, cut anywhere) is a list of short lines, not prose, verse or code."""
    lines = text.splitlines()[:-1]
    if len(lines) < MIN_LINES:
        return False
    short = sum(len(line) <= MAX_CHARACTERS and len(line.split()) <= MAX_WORDS for line in lines)
    odd = sum(not line or line[0].isspace() for line in lines)
    most = len(lines)
    return short >= SHORT * most and odd <= ODD * most and len(set(lines)) >= DISTINCT * most


def whole_lines(texts: Iterable[str]) -> list[str]:
    """The complete lines of generated texts: the last line of each is cut off, and the first may be; blank lines are
    left out."""
    return [line.strip() for text in texts for line in text.splitlines()[1:-1] if line.strip()]


def novelty(written: Sequence[str], corpus: Iterable[str], shown: int = 24) -> Novelty | None:
    """The novelty of the lines `written` relative to the lines of `corpus`; None if nothing was written.

    Lines are compared without surrounding spaces; case and everything else count.
    """
    if not written:
        return None
    known = {line.strip() for line in corpus}
    fresh = [line for line in written if line not in known]
    return Novelty(
        len(written),
        len(fresh) / len(written),
        1 - len(set(written)) / len(written),
        tuple(dict.fromkeys(fresh))[:shown],
    )
