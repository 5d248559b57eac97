"""The bracket depth of each character of a text, which may contain unmatched brackets."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_OPENING = {")": "(", "]": "[", "}": "{"}
_BRACKET = re.compile(r"[()\[\]{}]")
REACH = 1000
"""Characters after which an unmatched ( or [ no longer counts as open."""

Spans = dict[str, list[tuple[int, int]]]


def pair(code: str) -> Spans:
    """The positions inside the brackets of each kind, from the opening bracket to before the closing one.

    A closing bracket matches the last opening one of its kind; unmatched brackets between them are dropped. An
    unmatched closing brace means that the text began inside; an unmatched opening brace means that it ends inside.
    """
    open_now: list[tuple[str, int]] = []
    spans: Spans = {"(": [], "[": [], "{": []}
    for match in _BRACKET.finditer(code):
        mark, place = match.group(), match.start()
        if mark in spans:
            open_now.append((mark, place))
            continue
        partner = _OPENING[mark]
        at = next((n for n in range(len(open_now) - 1, -1, -1) if open_now[n][0] == partner), None)
        if at is not None:
            spans[partner].append((open_now[at][1], place))
            del open_now[at:]
        elif partner == "{":
            spans["{"].append((0, place))
    for mark, place in open_now:
        if mark == "{" or len(code) - place < REACH:
            spans[mark].append((place, len(code)))
    return spans


def depth(length: int, spans: Iterable[tuple[int, int]]) -> NDArray[np.float32]:
    """The number of spans that contain each of `length` characters."""
    changes = np.zeros(length + 1, np.int64)
    for start, end in spans:
        changes[start] += 1
        changes[end] -= 1
    return np.cumsum(changes)[:length].astype(np.float32)
