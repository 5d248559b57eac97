"""HTML for notebooks: what is put into it is escaped, and it stays short, whatever it is made of.

pandas and scikit-learn show their objects by `_repr_html_`; Jupyter calls it.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

LONGEST = 8000
"""Characters of HTML, about: a cell of a notebook that shows more is slow, and nobody reads it."""
ROWS = 20
"""Rows of a table that are shown."""
_JOINERS = "\u200c\u200d"
"""Not printable by themselves, and part of words in many scripts."""
_STYLE = "".join(f".charpipe-{depth}{{background:rgba(224,80,64,.{depth})}}" for depth in range(1, 8))
"""Colours of surprise, from none to seven tenths."""


def shortened(text: str, most: int) -> str:
    """The text, cut to `most` characters with an ellipsis at its end."""
    return text if len(text) <= most else text[: most - 1] + "…"


def visible(text: str) -> str:
    """The text with the characters that would change how it is laid out, as controls do, by their code points."""
    return "".join(
        char if char.isprintable() or char in "\n\t" or char in _JOINERS else f"‹U+{ord(char):04X}›"
        for char in text
    )


def escaped(text: str, most: int = 200) -> str:
    """A name or a sentence as HTML."""
    return html.escape(visible(shortened(text, most)))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts: the first 20 rows, and how many more there are. The first column is read from the left."""

    def line(tag: str, cells: Iterable[str]) -> str:
        aligned = [" style='text-align:left'", *[""] * len(head)]
        inner = (
            f"<{tag}{style}>{escaped(text, 60)}</{tag}>" for style, text in zip(aligned, cells, strict=False)
        )
        return f"<tr>{''.join(inner)}</tr>"

    more = len(rows) - ROWS
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    return f"<table>{line('th', head)}{''.join(line('td', row) for row in rows[:ROWS])}</table>{rest}"


def block(text: str, most: int = 1000) -> str:
    """A text with its line ends."""
    return f"<pre style='white-space:pre-wrap'>{escaped(text, most)}</pre>"


def coloured(pieces: Iterable[tuple[str, float]]) -> str:
    """Pieces of a text, each the redder the nearer its strength is to 1; cut where it becomes long."""
    shown: list[str] = []
    length, last = len(_STYLE), -1
    for text, strength in pieces:
        depth = round(7 * min(1.0, max(0.0, strength)))
        piece = html.escape(visible(text))
        opening = f"</span><span class='charpipe-{depth}'>" if depth != last else ""
        if (length := length + len(opening) + len(piece)) > LONGEST - 100:
            shown.append("</span><span>…")
            break
        shown += [opening, piece]
        last = depth
    inner = "".join(shown).removeprefix("</span>")
    closing = "</span>" if inner else ""
    return f"<style>{_STYLE}</style><pre style='white-space:pre-wrap'>{inner}{closing}</pre>"
