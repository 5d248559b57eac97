"""The blocks of the documentation, for the tests that run them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = ("commands.md", "settings.md")
"""Pages that docs/reference.py writes; their blocks are the help that the commands print."""
_BLOCK = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]*?) -->\n+)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```"
    r"|(?:\A|(?<=\n\n))(?P<indented>(?: {4}[^\n]*\n|\n(?=\n* {4}))+)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A block of code: its page, its line there, its language, and why it is not run where a comment says so.

    An indented block, as the README has them, is one of shell commands."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def name(self) -> str:
        """`python.md:7`."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class ShownCommand:
    """A command of a shell block, comments left out and continued lines joined."""

    page: str
    line: int
    text: str


def blocks_of(page: str, text: str) -> list[Block]:
    """The blocks of a page, in order."""
    found = []
    for match in _BLOCK.finditer(text):
        indented = match["indented"]
        start = match.start("indented") if indented else match.start("language")
        inner = re.sub(r"^ {4}", "", indented, flags=re.MULTILINE) if indented else match["text"]
        language = "sh" if indented else match["language"]
        found.append(Block(page, 1 + text.count("\n", 0, start), language, inner, match["why"]))
    return found


def section(page: Path, heading: str) -> list[Block]:
    """The blocks of a page under a heading of the second level. Raises ValueError where there is no such heading."""
    text = page.read_text(encoding="utf-8")
    start = text.index(f"\n## {heading}\n")
    end = text.find("\n## ", start + 1)
    return blocks_of(page.name, text[start : end if end >= 0 else None])


def all_blocks() -> list[Block]:
    """The blocks of all pages but the generated ones."""
    pages = [page for page in PAGES if page.name not in GENERATED]
    return [block for page in pages for block in blocks_of(page.name, page.read_text(encoding="utf-8"))]


def blocks(language: str) -> list[Block]:
    """The blocks of all pages in a language."""
    return [block for block in all_blocks() if block.language == language]


def commands_of(block: Block) -> Iterator[ShownCommand]:
    """The commands of a shell block. Raises ValueError for a quote that is never closed."""
    kept, first = "", 0
    for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
        first = first if kept else number
        kept += line
        if kept.endswith("\\"):
            kept = kept[:-1]
            continue
        try:
            words = shlex.split(kept, comments=True)
        except ValueError:  # a quote that a later line closes
            kept += "\n"
            continue
        if words:
            yield ShownCommand(block.page, first, without_comment(kept))
        kept = ""
    if kept.strip():
        raise ValueError(f"{block.name}: {kept.strip()} is no whole command")


def without_comment(line: str) -> str:
    """A command without the comment behind it: the longest beginning before a ` #` that has the same words."""
    words = shlex.split(line, comments=True)
    places = [match.start() for match in re.finditer(r"(?<=\s)#", line)]
    return next((line[:at].strip() for at in places if _words(line[:at]) == words), line.strip())


def _words(text: str) -> list[str] | None:
    try:
        return shlex.split(text)
    except ValueError:
        return None


def commands() -> list[ShownCommand]:
    """All commands of all pages."""
    return [command for block in blocks("sh") for command in commands_of(block)]
