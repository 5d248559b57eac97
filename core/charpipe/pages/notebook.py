"""HTML for notebooks: input is escaped, and the output is limited in length.

Jupyter shows an object by its `_repr_html_`, as those of pandas and scikit-learn.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from itertools import groupby

MAX_HTML = 8000
"""Characters of HTML, about: a cell of a notebook that shows more is slow, and nobody reads it."""
ROWS = 20
"""Rows of a table that are shown."""
_JOINERS = "\u200c\u200d"
"""Not printable by themselves, and part of words in many scripts."""
_DEPTHS = "".join(f".charpipe .s{depth}{{background:rgba(224,80,64,.{depth})}}" for depth in range(1, 8))
_STYLE = f".charpipe i{{font-style:normal}}{_DEPTHS}"
"""Colours of surprise, from none to seven tenths, under short names: they stand once for each few characters."""
_MARK = "<i class=s1></i>"
WIDEST = 10
"""Characters of HTML that one of a text can take: `‹U+10FFFF›`."""
_PRE = "white-space:pre-wrap;font-family:monospace"


def shortened(text: str, most: int) -> str:
    """The text, truncated to `most` characters with an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "…"


def visible(text: str) -> str:
    """The text with characters that would change the layout, such as controls, replaced by their code points."""
    return "".join(
        char if char.isprintable() or char in "\n\t" or char in _JOINERS else f"‹U+{ord(char):04X}›"
        for char in text
    )


def escaped(text: str, most: int = 200) -> str:
    """A name or a sentence as HTML."""
    return html.escape(visible(shortened(text, most)))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table of texts: the first 20 rows, and the number of the rest; no header row if the header is empty. The
    first column is left-aligned."""

    def line(tag: str, cells: Iterable[str]) -> str:
        first = " style='text-align:left'"
        inner = (
            f"<{tag}{first if place == 0 else ''}>{escaped(text, 60)}</{tag}>"
            for place, text in enumerate(cells)
        )
        return f"<tr>{''.join(inner)}</tr>"

    more = len(rows) - ROWS
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    top = line("th", head) if head else ""
    return f"<table>{top}{''.join(line('td', row) for row in rows[:ROWS])}</table>{rest}"


def block(text: str, most: int = 1000) -> str:
    """A text with its line breaks."""
    return f"<pre style='{_PRE}'>{escaped(text, most)}</pre>"


def coloured(pieces: Iterable[tuple[str, float]]) -> str:
    """Pieces of a text, shaded red by strength (0 to 1); truncated when long."""
    shown: list[str] = []
    room = MAX_HTML - len(_STYLE) - 200
    for depth, group in groupby(pieces, lambda piece: round(7 * min(1.0, max(0.0, piece[1])))):
        text = "".join(text for text, _ in group)
        piece = html.escape(visible(text))
        if len(piece) + len(_MARK) > room:
            cut = html.escape(visible(text[: max(0, room // WIDEST)]))
            shown.append(f"{_marked(cut, depth)}…")
            break
        shown.append(_marked(piece, depth))
        room -= len(shown[-1])
    return f"<style>{_STYLE}</style><pre class='charpipe' style='{_PRE}'>{''.join(shown)}</pre>"


def _marked(piece: str, depth: int) -> str:
    return f"<i class=s{depth}>{piece}</i>" if depth else piece
