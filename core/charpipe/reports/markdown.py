"""Escape texts and names for Markdown, so that none of them is interpreted as markup."""

from __future__ import annotations

import re


def fenced(text: str) -> str:
    """A code block with `text`: its fence is longer than any in the text."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def code(text: str) -> str:
    """`text` as inline code, between more backticks than it contains; line breaks become spaces."""
    line = " ".join(text.splitlines()) or " "
    fence = "`" * (_longest(line) + 1)
    edge = " " if line.startswith(("`", " ")) or line.endswith(("`", " ")) else ""
    return f"{fence}{edge}{line}{edge}{fence}"


def cell(text: str) -> str:
    """`text` as a table cell, with its punctuation escaped."""
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", " ".join(text.splitlines()))


def _longest(text: str) -> int:
    return max((len(ticks) for ticks in re.findall("`+", text)), default=0)
