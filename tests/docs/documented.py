"""The blocks of the documentation, for the tests that run them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]*?) -->\n+)?^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, its line there, its language, and why it is not run where a comment says so."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def name(self) -> str:
        """`python.md:7`."""
        return f"{self.page}:{self.line}"


def blocks_of(page: str, text: str) -> list[Block]:
    """The blocks of a page, in order."""
    return [
        Block(
            page,
            1 + text.count("\n", 0, found.start("language")),
            found["language"],
            found["text"],
            found["why"],
        )
        for found in _FENCED.finditer(text)
    ]


def blocks(language: str) -> list[Block]:
    """The blocks of all pages in a language."""
    found = [block for page in PAGES for block in blocks_of(page.name, page.read_text(encoding="utf-8"))]
    return [block for block in found if block.language == language]
