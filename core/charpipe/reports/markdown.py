"""Texts and names in Markdown, shown as they are: nothing in them is taken for markup."""

from __future__ import annotations

import re


def fenced(text: str) -> str:
    """A block that shows `text`: its fence is longer than any within."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}text\n{text}\n{fence}"


def code(text: str) -> str:
    """`text` within a line, between more backticks than it holds; a line break is a space there."""
    line = " ".join(text.splitlines()) or " "
    fence = "`" * (_longest(line) + 1)
    edge = " " if line.startswith(("`", " ")) or line.endswith(("`", " ")) else ""
    return f"{fence}{edge}{line}{edge}{fence}"


def cell(text: str) -> str:
    """`text` in a table's cell, whose punctuation is escaped."""
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", " ".join(text.splitlines()))


def _longest(text: str) -> int:
    return max((len(ticks) for ticks in re.findall("`+", text)), default=0)
