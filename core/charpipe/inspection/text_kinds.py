"""Detect the kind of a text, which selects the signals that its units are compared with.

Two figures distinguish code from natural language: the share of characters such as brackets and operators, and the
share of lines that end in a mark typical of code. Verse, including plays, has short lines that mostly begin with a
capital. Text that is clearly neither, such as markup, is `mixed` and is compared with all signals.
"""

from __future__ import annotations

import re
import statistics
from typing import Literal, get_args

from charpipe.errors import UsageError, near_match

Kind = Literal["code", "prose", "verse", "mixed"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_MARK = re.compile(r"[{}()\[\];=<>#/\\_*&|+]")
_CODE_END = re.compile(r"[;{}(),:\\\]]$")
FEW_MARKS, MANY_MARKS = 0.02, 0.04
"""Natural language has a share of these marks below the first value, code above the second."""
CODE_ENDS = 0.4
SHORT, LINES = 56, 20
"""The median line of verse is no longer than SHORT; with fewer than LINES lines, verse is not detected."""
TINY = 12
"""If the median line is no longer than this, the text is a list, not verse."""
CAPITALS = 0.5

_ANY = ("double_quotes", "single_quotes", "url", "word_start", "word_end", "in_word", "position")
_NATURAL = (*_ANY, "parentheses", "square_brackets", "capital_word", "sentence_start", "after_blank")
KEYS: dict[Kind, tuple[str, ...]] = {
    "code": (
        *_ANY,
        *("triple_quotes", "block_comment", "line_comment", "hash_comment", "condition"),
        *("parentheses", "square_brackets", "brace_depth", "bracket_depth", "indentation"),
    ),
    "prose": _NATURAL,
    "verse": (*_NATURAL, "speaker", "indentation"),
}
"""The keys of the signals of each kind; `mixed` has all of them."""


def kind_named(name: str) -> Kind:
    """The kind with this name. Raises UsageError with a near match."""
    for kind in KINDS:
        if kind == name:
            return kind
    raise UsageError(f"there is no kind of text {name!r}{near_match(name, KINDS)}")


def kind_of(text: str) -> Kind:
    """The kind of a text, detected from a long enough piece of it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    letters = sum(map(len, lines))
    if not letters:
        return "mixed"
    marks = len(_MARK.findall(text)) / letters
    if marks >= MANY_MARKS and sum(bool(_CODE_END.search(line)) for line in lines) >= CODE_ENDS * len(lines):
        return "code"
    if marks >= FEW_MARKS:
        return "mixed"
    usual = statistics.median(map(len, lines))
    if len(lines) < LINES or usual > SHORT:
        return "prose"
    if usual <= TINY:
        return "mixed"
    capitals = sum(_begins_with_a_capital(line) for line in lines)
    return "verse" if capitals >= CAPITALS * len(lines) else "prose"


def _begins_with_a_capital(line: str) -> bool:
    return next((letter.isupper() for letter in line if letter.isalpha()), False)


def has(kind: Kind, key: str) -> bool:
    """Whether the signal with this key is searched for in texts of this kind."""
    return kind not in KEYS or key in KEYS[kind]
