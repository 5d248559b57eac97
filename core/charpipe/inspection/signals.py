"""Signals: known properties of each character of a text, which units are compared with.

The value at a character describes the text up to and including it, as a unit's activation does: an opening quote is
inside, a closing one outside. Only the ends of words look one character ahead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.inspection.brackets import depth, pair
from charpipe.inspection.spans import Lexed, lex

Values = NDArray[np.float32]
TAB = 8
_URL = re.compile(r"""\b(?:https?|ftp)://[^\s"'<>()\[\]{}]*(?<![.,;:!?])""", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_CONDITION = re.compile(r"\b(?:if|for|while|switch)\b\s*\(")
_SPEAKER = re.compile(r"^[A-Z][\w'. -]{0,38}:[ \t]*$", re.MULTILINE)
_SENTENCE_START = re.compile(
    r"(?:(?<=[.!?] )|(?<=[.!?]\n)|(?<=[.!?][\"'”’»] )|(?<=[.!?][\"'”’»]\n)|\A|(?<=\n\n))\w+"
)
_AFTER_BLANK = re.compile(r"(?<=\n\n)[^\n]+")
_PYTHON_CONDITION = re.compile(r"^[ \t]*(?:if|elif|for|while)\b(?!\s*\()[^\n]*?(?=:[ \t]*$)", re.MULTILINE)


@dataclass(frozen=True)
class Signal:
    """A property of characters: `key` for programs, `name` for people; `graded` signals count, others are 0 or 1."""

    key: str
    name: str
    graded: bool
    values: Callable[[str, Lexed], Values]


def measure(text: str) -> Values:
    """Every signal of SIGNALS at every character of `text`: float32 [characters, signals]."""
    lexed = lex(text)
    found = [signal.values(text, lexed) for signal in SIGNALS]
    return np.stack(found, 1) if text else np.zeros((0, len(SIGNALS)), np.float32)


def _inside(kind: str) -> Callable[[str, Lexed], Values]:
    def values(text: str, lexed: Lexed) -> Values:
        return lexed.inside(kind)

    return values


def _depth(*opening: str) -> Callable[[str, Lexed], Values]:
    def values(text: str, lexed: Lexed) -> Values:
        paired = pair(lexed.code)
        return depth(len(text), [span for kind in opening for span in paired[kind]])

    return values


def _within(opening: str) -> Callable[[str, Lexed], Values]:
    def values(text: str, lexed: Lexed) -> Values:
        return (depth(len(text), pair(lexed.code)[opening]) > 0).astype(np.float32)

    return values


def _indentation(text: str, lexed: Lexed) -> Values:
    """Columns of leading white space of the line, as far as it has been read."""
    found = np.zeros(len(text), np.float32)
    columns, leading = 0, True
    for place, character in enumerate(text):
        if character == "\n":
            columns, leading = 0, True
        elif leading and character in " \t":
            columns += TAB - columns % TAB if character == "\t" else 1
        else:
            leading = False
        found[place] = columns
    return found


def _position(text: str, lexed: Lexed) -> Values:
    """Characters since the last line break, which is at 0."""
    breaks = np.array([c == "\n" for c in text], bool)
    places = np.arange(1, len(text) + 1)
    since = np.maximum.accumulate(np.where(breaks, places, 0)) if len(text) else places
    return (places - since).astype(np.float32)


def _url(text: str, lexed: Lexed) -> Values:
    """From the second slash of `http://` to the last character of the address."""
    starts = [(m.start() + m.group().index("//") + 1, m.end()) for m in _URL.finditer(text)]
    return _marked(len(text), starts)


def _condition(text: str, lexed: Lexed) -> Values:
    """Between the brackets after `if`, `for`, `while`, `switch`; in Python from the word's end to the colon."""
    brackets = dict(pair(lexed.code)["("])
    opening = [m.end() - 1 for m in _CONDITION.finditer(lexed.code)]
    spans = [(place, brackets[place]) for place in opening if place in brackets]
    for match in _PYTHON_CONDITION.finditer(lexed.code):
        word = re.match(r"[ \t]*\w+", match.group())
        spans.append((match.start() + (word.end() if word else 0), match.end()))
    return _marked(len(text), spans)


def _word_starts(text: str, lexed: Lexed) -> Values:
    return _marked(len(text), [(m.start(), m.start() + 1) for m in _WORD.finditer(text)])


def _word_ends(text: str, lexed: Lexed) -> Values:
    return _marked(len(text), [(m.end() - 1, m.end()) for m in _WORD.finditer(text)])


def _matches(pattern: re.Pattern[str]) -> Callable[[str, Lexed], Values]:
    """The characters that `pattern` matches, without its lookarounds."""

    def values(text: str, lexed: Lexed) -> Values:
        return _marked(len(text), [match.span() for match in pattern.finditer(text)])

    return values


def _capital_word(text: str, lexed: Lexed) -> Values:
    return _marked(len(text), [m.span() for m in _WORD.finditer(text) if m.group()[0].isupper()])


def _in_word(text: str, lexed: Lexed) -> Values:
    """From the second letter of a word to its last."""
    return _marked(len(text), [(m.start() + 1, m.end()) for m in _WORD.finditer(text)])


def _marked(length: int, spans: list[tuple[int, int]]) -> Values:
    found = np.zeros(length, np.float32)
    for start, end in spans:
        found[start:end] = 1
    return found


def _signals() -> Iterator[Signal]:
    yield Signal("double_quotes", "inside double quotes", False, _inside("double"))
    yield Signal("single_quotes", "inside single quotes", False, _inside("single"))
    yield Signal("triple_quotes", "inside triple quotes", False, _inside("triple"))
    yield Signal("block_comment", "inside a comment /* */", False, _inside("block"))
    yield Signal("line_comment", "inside a comment //", False, _inside("line"))
    yield Signal("hash_comment", "inside a comment #", False, _inside("hash"))
    yield Signal("parentheses", "inside parentheses ( )", False, _within("("))
    yield Signal("square_brackets", "inside brackets [ ]", False, _within("["))
    yield Signal("condition", "inside the condition of an if, for or while", False, _condition)
    yield Signal("url", "inside a URL", False, _url)
    yield Signal("word_start", "first letter of a word", False, _word_starts)
    yield Signal("word_end", "last letter of a word", False, _word_ends)
    yield Signal("brace_depth", "depth of braces { }", True, _depth("{"))
    yield Signal("bracket_depth", "depth of all brackets", True, _depth("(", "[", "{"))
    yield Signal("indentation", "indentation of the line", True, _indentation)
    yield Signal("position", "position in the line", True, _position)
    yield Signal("speaker", "inside a speaker's name", False, _matches(_SPEAKER))
    yield Signal("capital_word", "inside a capitalised word", False, _capital_word)
    yield Signal("sentence_start", "first word of a sentence", False, _matches(_SENTENCE_START))
    yield Signal("in_word", "inside a word", False, _in_word)
    yield Signal("after_blank", "first line after a blank line", False, _matches(_AFTER_BLANK))


SIGNALS: tuple[Signal, ...] = tuple(_signals())
GRADED: NDArray[Any] = np.array([signal.graded for signal in SIGNALS])
