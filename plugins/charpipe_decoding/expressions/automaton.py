"""A regular expression as a nondeterministic finite automaton (Thompson 1968).

Python's own parser reads the expression, and Python's own engine says which characters each of its sets has, so that
flags, classes and escapes mean what they mean in `re`.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from charpipe.plugin import UsageError

# The parser and the compiler behind `re.compile`; hypothesis reads expressions in the same way.
_parser: Any = import_module("re._parser")
_compiler: Any = import_module("re._compiler")
_codes: Any = import_module("re._constants")

MAX_NODES = 20_000
"""Nodes of an automaton; repetitions such as `(a{100}){100}` multiply them."""
SETS = (_codes.LITERAL, _codes.NOT_LITERAL, _codes.ANY, _codes.IN)
STARTS = (_codes.AT_BEGINNING, _codes.AT_BEGINNING_STRING)
ENDS = (_codes.AT_END, _codes.AT_END_STRING)


@dataclass
class Automaton:
    """Nodes by number: node 0 is the start, `accept` the only accepting one.

    `empty[n]` are the nodes reached from n without a character, `edges[n]` those reached by a character of a set; the
    set is a compiled expression for one or more such characters.
    """

    empty: list[list[int]] = field(default_factory=list)
    edges: list[list[tuple[re.Pattern[str], int]]] = field(default_factory=list)
    accept: int = 0

    def add(self) -> int:
        """A new node. Raises UsageError beyond the limit."""
        if len(self.empty) >= MAX_NODES:
            raise UsageError(
                f"the regular expression is too large: spelled out, its repetitions need more than {MAX_NODES:,} nodes"
            )
        self.empty.append([])
        self.edges.append([])
        return len(self.empty) - 1


def automaton(pattern: str) -> Automaton:
    """The automaton of an expression that the whole text is to match.

    Raises UsageError for an invalid expression, and for look-around, references to groups, word boundaries, possessive
    and atomic groups.
    """
    parsed = _parsed(pattern)
    found = Automaton()
    build = _Builder(found, pattern)
    found.accept = build.sequence(_without_anchors(parsed), found.add(), parsed.state.flags)
    return found


def _parsed(pattern: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
            return _parser.parse(pattern)
    except re.error as error:
        where = "" if error.pos is None else f" at character {error.pos + 1}"
        raise UsageError(f"the regular expression {pattern!r} is not valid: {error.msg}{where}") from error
    except (OverflowError, RecursionError) as error:
        raise UsageError(f"the regular expression {pattern[:60]!r} is not valid: {error}") from error


def _without_anchors(parsed: Any) -> list[Any]:
    """The top level without `^` at its beginning and `$` at its end, which a match of the whole text implies."""
    items = list(parsed)
    while items and items[0][0] is _codes.AT and items[0][1] in STARTS:
        items.pop(0)
    while items and items[-1][0] is _codes.AT and items[-1][1] in ENDS:
        items.pop()
    return items


class _Builder:
    """Adds the nodes of parts of an expression. Each method gets the first node and returns the last one."""

    def __init__(self, automaton: Automaton, pattern: str) -> None:
        self.automaton, self.pattern = automaton, pattern
        self.sets: dict[tuple[str, int], re.Pattern[str]] = {}
        self.parts: dict[Any, Callable[[Any, int, int], int]] = {
            _codes.BRANCH: self.branch,
            _codes.SUBPATTERN: self.group,
            _codes.MAX_REPEAT: self.repeat,
            _codes.MIN_REPEAT: self.repeat,
        }

    def sequence(self, items: Sequence[Any], first: int, flags: int) -> int:
        """One part after the other."""
        for operation, argument in items:
            if operation in SETS:
                first = self.character((operation, argument), first, flags)
            elif operation in self.parts:
                first = self.parts[operation](argument, first, flags)
            else:
                raise UsageError(
                    f"the regular expression {self.pattern!r} cannot guide a text: look-around, references to groups, "
                    "word boundaries, ^ and $ inside, possessive and atomic groups are not supported"
                )
        return first

    def character(self, item: Any, first: int, flags: int) -> int:
        """One character of a set."""
        last = self.automaton.add()
        key = (repr(item), flags)
        if key not in self.sets:
            self.sets[key] = _compiled(item, flags)
        self.automaton.edges[first].append((self.sets[key], last))
        return last

    def branch(self, argument: Any, first: int, flags: int) -> int:
        """One of several parts."""
        last = self.automaton.add()
        for items in argument[1]:
            begin = self.automaton.add()
            self.automaton.empty[first].append(begin)
            self.automaton.empty[self.sequence(items, begin, flags)].append(last)
        return last

    def group(self, argument: Any, first: int, flags: int) -> int:
        """A group, which may change flags."""
        _, added, removed, items = argument
        return self.sequence(items, first, (flags | added) & ~removed)

    def repeat(self, argument: Any, first: int, flags: int) -> int:
        """A part `least` to `most` times."""
        least, most, items = argument
        for _ in range(least):
            first = self.sequence(items, first, flags)
        if most is _codes.MAXREPEAT:
            again, last = self.automaton.add(), self.automaton.add()
            self.automaton.empty[first] += [again, last]
            self.automaton.empty[self.sequence(items, again, flags)] += [again, last]
            return last
        last = self.automaton.add()
        for _ in range(most - least):
            self.automaton.empty[first].append(last)
            first = self.sequence(items, first, flags)
        self.automaton.empty[first].append(last)
        return last


def _compiled(item: Any, flags: int) -> re.Pattern[str]:
    """The expression of one or more characters of a set."""
    state = _parser.State()
    state.flags, state.str = flags, ""
    one = _parser.SubPattern(state, [item])
    many = _parser.SubPattern(state, [(_codes.MAX_REPEAT, (1, _codes.MAXREPEAT, one))])
    compiled: re.Pattern[str] = _compiler.compile(many, flags)
    return compiled
