"""The contract of constraints as rules, each checked over a vocabulary of a few letters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from charpipe.errors import UsageError
from charpipe.plugin import Constraint, Decoder, resolve
from charpipe.testing.example_options import example

TEXTS, MORE = 20, 8


class Letters:
    """A token for each of a few characters."""

    labels = tuple("\nab c1.")
    size = len(labels)

    def encode(self, text: str) -> np.ndarray[Any, Any]:
        """Raises UsageError for another character."""
        if unknown := set(text) - set(self.labels):
            raise UsageError(f"the vocabulary has no {min(unknown)!r}")
        return np.array([self.labels.index(letter) for letter in text], np.uint8)

    def decoder(self) -> Letters:
        """Itself: every token is a character."""
        return self

    def decode(self, ids: Iterable[int], final: bool = False) -> str:
        """The characters."""
        return "".join(self.labels[token] for token in ids)


@dataclass(frozen=True)
class ConstraintCase:
    """A constraint over the letters."""

    constraint: Constraint


def constrain(decoder: Decoder) -> ConstraintCase:
    """Call `constrain` with example settings."""
    assert decoder.constrain is not None
    return ConstraintCase(resolve(decoder.constrain)(example(decoder.config), Letters()))


def allowed_form(case: ConstraintCase) -> str | None:
    """`allowed` returns bool [V]."""
    found = np.asarray(case.constraint.allowed(case.constraint.start, case.constraint.shortest + MORE))
    same = found.shape == (Letters.size,) and found.dtype == np.bool_
    return None if same else f"{found.dtype} {list(found.shape)} instead of bool [{Letters.size}]"


def hashable_places(case: ConstraintCase) -> str | None:
    """A place is hashable, and `after` does not change it."""
    start = case.constraint.start
    before = hash(start)
    for token in np.flatnonzero(case.constraint.allowed(start, case.constraint.shortest + MORE)):
        hash(case.constraint.after(start, int(token)))
    return None if hash(start) == before else "`after` changed the place it was given"


def completed_in_time(case: ConstraintCase) -> str | None:
    """A text of allowed tokens is complete when no token remains, and never without an allowed token before that."""
    constraint, draws = case.constraint, np.random.default_rng(1)
    for length in range(constraint.shortest, constraint.shortest + TEXTS):
        place = constraint.start
        for remaining in range(length, 0, -1):
            tokens = np.flatnonzero(constraint.allowed(place, remaining))
            if not len(tokens):
                break
            place = constraint.after(place, int(draws.choice(tokens)))
        if not constraint.complete(place):
            return f"a text with room for {length} tokens ended before it was complete"
    return None


RULES = (allowed_form, hashable_places, completed_in_time)
