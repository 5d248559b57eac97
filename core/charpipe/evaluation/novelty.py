"""For a corpus that is a list of short lines, such as names: how many of the lines that a model writes are its own.

A model that had learnt its list by heart would score well and invent nothing. The share of its lines that the corpus
does not hold tells the two apart, and the share that it wrote before tells whether it writes always the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LONGEST, WORDS = 40, 4
"""Characters and words that a line of a list has at most."""
FEWEST, SHORT, ODD, DISTINCT = 100, 0.98, 0.01, 0.5
"""A list has so many lines; that share of them is short, at most this one blank or indented, that one distinct."""


@dataclass(frozen=True)
class Novelty:
    """`lines` were written; `novel` is the share that the corpus does not hold, `duplicate` the share that repeats an
    earlier one; `examples` are the first distinct novel lines."""

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
    """Whether a text (or a beginning of one, cut anywhere) is a list of short lines, and no prose, verse or code."""
    lines = text.splitlines()[:-1]
    if len(lines) < FEWEST:
        return False
    short = sum(len(line) <= LONGEST and len(line.split()) <= WORDS for line in lines)
    odd = sum(not line or line[0].isspace() for line in lines)
    most = len(lines)
    return short >= SHORT * most and odd <= ODD * most and len(set(lines)) >= DISTINCT * most


def whole_lines(texts: Iterable[str]) -> list[str]:
    """The whole lines of written texts: each text's last is cut off, and so may its first be; blank ones are none."""
    return [line.strip() for text in texts for line in text.splitlines()[1:-1] if line.strip()]


def novelty(written: Sequence[str], corpus: Iterable[str], shown: int = 24) -> Novelty | None:
    """What of the lines `written` is new beside the lines of `corpus`; None where nothing was written.

    Lines are compared without the spaces around them, case and all else as it is.
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
