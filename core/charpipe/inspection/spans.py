"""The positions of comments and quotations in a text: a lexer for as much of C, Python and prose as this needs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PARAGRAPH = r"\n[ \t\r]*\n"
_KINDS: tuple[tuple[str, str, int], ...] = (
    # kind, pattern with the end in the group `e_...`, characters of the opening mark
    ("begun", r"\A(?:(?!/\*).)*?(?P<e_begun>\*/)", 0),
    ("block", r"/\*.*?(?P<e_block>\*/|\Z)", 2),
    ("line", r"(?<!:)//[^\n]*(?P<e_line>)", 2),
    ("hash", r"(?:(?<=\s)|\A)\#(?=[ !\n]|\Z)[^\n]*(?P<e_hash>)", 1),
    ("triple", r'"""(?:\\.|[^\\])*?(?P<e_triple>"""|\Z)', 3),
    ("triples", r"'''(?:\\.|[^\\])*?(?P<e_triples>'''|\Z)", 3),
    ("double", rf'"(?:\\.|(?!{_PARAGRAPH})[^"\\])*(?P<e_double>"?)', 1),
    ("curly", rf"“(?:(?!{_PARAGRAPH})[^”])*(?P<e_curly>”?)", 1),
    ("angle", rf"«(?:(?!{_PARAGRAPH})[^»])*(?P<e_angle>»?)", 1),
    ("corner", rf"「(?:(?!{_PARAGRAPH})[^」])*(?P<e_corner>」?)", 1),
    (
        "single",
        rf"(?:(?<!\w)|(?<=\b[rbfuRBFU]))'(?:\\.|(?!{_PARAGRAPH})[^'\\]|(?<=\w)'(?=\w)){{0,500}}(?P<e_single>')(?!\w)",
        1,
    ),
    ("singles", rf"‘(?:(?!{_PARAGRAPH})[^’]|(?<=\w)’(?=\w)){{0,500}}(?P<e_singles>’)", 1),
)
_SAME = {
    "begun": "block",
    "triples": "triple",
    "curly": "double",
    "angle": "double",
    "corner": "double",
    "singles": "single",
}
_ANY = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern, _ in _KINDS), re.DOTALL)
_OPENING = {kind: opening for kind, _, opening in _KINDS}


@dataclass(frozen=True)
class Lexed:
    """`spans[kind]` are the positions inside comments and quotations of that kind, each from its opening mark's last
    character to before its closing mark's last; `code` is the text with all of them blanked out, line breaks kept."""

    spans: dict[str, list[tuple[int, int]]]
    code: str

    def inside(self, kind: str) -> NDArray[np.float32]:
        """1 at the characters inside, else 0."""
        found = np.zeros(len(self.code), np.float32)
        for start, end in self.spans.get(kind, ()):
            found[start:end] = 1
        return found


def lex(text: str) -> Lexed:
    """Lex a text in one pass. A mark inside a comment or a quotation of another kind opens nothing; a double quote
    that is never closed ends with its paragraph; an unmatched end of a comment means that the text began inside one."""
    spans: dict[str, list[tuple[int, int]]] = {}
    pieces, done = [], 0
    for match in _ANY.finditer(text):
        kind = str(match.lastgroup) if match.lastgroup in _OPENING else _kind_of(match)
        closing = len(match.group(f"e_{kind}"))
        inside = (max(match.start(), match.start() + _OPENING[kind] - 1), match.end() - (closing > 0))
        spans.setdefault(_SAME.get(kind, kind), []).append(inside)
        pieces += [text[done : match.start()], re.sub(r"[^\n]", "\0", match.group())]
        done = match.end()
    return Lexed(spans, "".join([*pieces, text[done:]]))


def _kind_of(match: re.Match[str]) -> str:
    return next(kind for kind in _OPENING if match.group(kind) is not None)
