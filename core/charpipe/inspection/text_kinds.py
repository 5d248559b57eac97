"""What kind of text a text is, which decides the signals that its units are held against.

Two figures tell code from natural language: the share of characters such as brackets and operators, and the share of
lines that end in a mark that code lines end in. Verse, and plays with it, has short lines that mostly begin with a
capital. What is neither plainly, as markup is, is `mixed`, and is held against all signals.
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
"""Natural language has fewer of these marks than the first share of its characters, code more than the second."""
CODE_ENDS = 0.4
SHORT, LINES = 56, 20
"""Lines of verse are no longer in the middle; fewer lines than these tell nothing of that."""
TINY = 12
"""Lines that are no longer in the middle are those of a list, and of no verse."""
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
    """The kind of this name. Raises UsageError with a near match."""
    for kind in KINDS:
        if kind == name:
            return kind
    raise UsageError(f"there is no kind of text {name!r}{near_match(name, KINDS)}")


def kind_of(text: str) -> Kind:
    """The kind of a text, by a good piece of it."""
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
    """Whether the signal of this key is looked for in texts of this kind."""
    return kind not in KEYS or key in KEYS[kind]
