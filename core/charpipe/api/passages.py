"""`charpipe.find_passages`: passages of a run's corpus in which a model's units are on as in a chosen passage."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from charpipe import inspection
from charpipe.api.inspected_texts import inspected_texts, known_run, splits_of
from charpipe.api.pipelines import open_runs
from charpipe.config import load_config
from charpipe.config.files import find_project_file
from charpipe.config.load import Resolved
from charpipe.config.plugin_folders import open_plugins
from charpipe.errors import UsageError
from charpipe.inspection import Group, Reading, Unit, passages
from charpipe.inspection.matches import LIMIT, Found, find
from charpipe.inspection.packing import scaling
from charpipe.inspection.patterns import THRESHOLD, Levels, Pattern, levels, pattern_of
from charpipe.inspection.units import count, unit_at
from charpipe.pages.notebook import escaped, shortened, table
from charpipe.plugin import Encoding
from charpipe.runs.given_text import read_given_text
from charpipe.tracking.models import find_model
from charpipe.workspace import find_workspace

CONTEXT = 40
"""Tokens shown before and after a passage."""
LONGEST = 1000
"""Tokens of a passage."""
UNIT = re.compile(r"(?:(?P<state>[A-Za-z_]\w*)(?:\.|(?=\[)))?\[?(?P<layer>\d+)\]?[. ](?P<number>\d+)")


@dataclass(frozen=True)
class Match:
    """A passage of the corpus, with the text before and after it, at token `place` of a split. `through`: how many of
    the units are on throughout; `score`: the share of units and characters, one before and after the passage included,
    that are on or off as in the chosen passage."""

    split: str
    place: int
    before: str
    passage: str
    after: str
    through: int
    score: float


@dataclass(frozen=True, repr=False)
class PassageMatches:
    """The matches of the passage from character `first` to `last` of `source`, best first. `units` are on throughout
    it, each with 1 if it rises there, or -1 if it falls. `searched` of the corpus's `tokens` were read."""

    run: str
    source: str
    passage: str
    first: int
    last: int
    units: tuple[tuple[Unit, int], ...]
    threshold: float
    matches: tuple[Match, ...]
    searched: int
    tokens: int

    def __repr__(self) -> str:
        passage = repr(shortened(self.passage, 40))
        return f"<PassageMatches of {passage}: {len(self.units)} units, {len(self.matches)} matches>"

    def _repr_html_(self) -> str:
        rows = [
            (f"{one.score:.3f}", f"{one.through}", f"{one.before[-20:]}[{one.passage}]{one.after[:20]}")
            for one in self.matches
        ]
        return f"<p>{escaped(repr(self))}</p>{table(('score', 'units on', 'passage'), rows)}"

    def as_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "run": self.run,
            "source": self.source,
            "passage": self.passage,
            "first": self.first,
            "last": self.last,
            "threshold": self.threshold,
            "units": [
                {"tensor": unit.tensor, "layer": unit.layer, "number": unit.number, "sign": sign}
                for unit, sign in self.units
            ],
            "searched": self.searched,
            "tokens": self.tokens,
            "matches": [vars(one) | {"score": round(one.score, 4)} for one in self.matches],
        }


def find_passages(
    run: str = "last",
    file: str | Path | None = None,
    *,
    passage: tuple[int, int] | None = None,
    pattern: str | None = None,
    units: Sequence[str] = (),
    threshold: float = THRESHOLD,
    matches: int = 10,
    full: bool = False,
    length: int | None = None,
    which: str = "best",
    device: str = "cpu",
    strict: bool = False,
    resolved: Resolved | None = None,
    report: Callable[[str], None] = lambda sentence: None,
) -> PassageMatches:
    """Find passages of the run's corpus in which the same units are on for the same length as in a passage.

    The passage is a part of the text that `charpipe.inspect` shows for the same `run`, `file` and `length`: the
    characters `passage` (first and last, counted from 1 as on the page), or the first place where `pattern` stands; a
    pattern that does not stand there is read by itself. A unit is on where it is beyond the share `threshold` of the
    way from its median to its largest or smallest value in that text. The units are all that are on throughout the
    passage, or those of them that `units` names (`layer.unit` of the output, or `state.layer.unit`). Up to 2,000,000
    tokens of the corpus are read, in evenly spaced segments, or with `full` all. Raises CharpipeError.
    """
    if (passage is None) == (pattern is None):
        raise UsageError("give a passage, as its first and last character, or a pattern: one of the two")
    if not 1 <= matches <= 1000:
        raise UsageError(f"{matches:,} matches are not between 1 and 1,000")
    resolved = resolved or load_config()
    workspace, registry = find_workspace(find_project_file()), open_plugins(resolved)
    runs = open_runs(resolved)
    loaded = find_model(run, workspace, registry, resolved.config.tracking, which, runs)
    known = known_run(workspace, loaded.name)
    splits = splits_of(runs, known, loaded, run, "passages are found in a run's own corpus")
    predictor = loaded.predictor(device)
    found = inspection.groups(predictor)
    if not found:
        raise UsageError(f"{loaded.name} has no units: {loaded.model.title} counts")
    shown = passages.length_for(count(found), length)
    given = read_given_text(file, loaded, workspace, resolved, strict=strict, most=shown) if file else None
    texts = inspected_texts(runs, known, loaded, given, run, shown, 0)
    report(f"reading {len(texts.shown):,} characters of {texts.source}")
    reading = inspection.read(predictor, loaded.encoding, texts.shown)
    usual = levels(reading.units, scaling(reading.units, found), threshold)
    place, source = _place(reading, passage, pattern), texts.source
    own = None if given is not None or place is None else reading.pieces[place[0]].first
    if place is None:
        reading, source = inspection.read(predictor, loaded.encoding, pattern or ""), "the pattern by itself"
        place = 0, len(reading.pieces) - 1
    wanted = _pattern(reading, found, usual, place, units)
    report(f"searching for passages in which the same {len(wanted.columns):,} units are on")
    best, searched = find(
        predictor,
        {name: splits[name] for name in sorted(splits, key=lambda name: -len(splits[name]))},
        wanted,
        usual,
        matches,
        None if full else LIMIT,
        None if own is None else (passages.shown_split(splits), own),
    )
    return PassageMatches(
        loaded.name,
        source,
        "".join(piece.text for piece in reading.pieces[place[0] : place[1] + 1]),
        place[0] + 1,
        place[1] + 1,
        tuple((unit_at(found, one), sign) for one, sign in zip(wanted.columns, wanted.signs, strict=True)),
        threshold,
        tuple(_match(one, splits[one.split], loaded.encoding, wanted.length) for one in best),
        searched,
        sum(len(tokens) for tokens in splits.values()),
    )


def _place(reading: Reading, passage: tuple[int, int] | None, pattern: str | None) -> tuple[int, int] | None:
    """The first and the last piece of the passage; None for a pattern that does not stand in the text."""
    pieces = len(reading.pieces)
    if passage is not None:
        if passage[0] > passage[1]:
            raise UsageError(
                f"the passage {passage[0]:,}:{passage[1]:,} is backwards; give its first character before its last"
            )
        if not 1 <= passage[0] <= passage[1] <= pieces:
            raise UsageError(
                f"the passage {passage[0]:,}:{passage[1]:,} is not within the {pieces:,} characters that are read; "
                "give its first and its last, or read more: --length"
            )
        return passage[0] - 1, passage[1] - 1
    if not pattern:
        raise UsageError("the pattern is empty")
    start = reading.text.find(pattern)
    if start < 0:
        return None
    ends = np.cumsum([len(piece.text) for piece in reading.pieces])
    first, last = np.searchsorted(ends, [start, start + len(pattern) - 1], side="right").tolist()
    return first, last


def _pattern(
    reading: Reading, groups: Sequence[Group], usual: Levels, place: tuple[int, int], units: Sequence[str]
) -> Pattern:
    first, last = place
    length = reading.pieces[last].last - reading.pieces[first].first + 1
    if length > LONGEST:
        raise UsageError(f"the passage has {length:,} tokens; up to {LONGEST:,} can be searched for")
    chosen = [_column(text, groups) for text in units]
    directions = usual.directions(reading.units)
    found = pattern_of(directions, first, last, length, chosen)
    missing = [
        text for text, column in zip(units, chosen, strict=True) if not found or column not in found.columns
    ]
    if missing:
        raise UsageError(
            f"the unit {missing[0]} is not on throughout the passage at the threshold {usual.threshold:g}; lower the "
            "threshold, or choose a shorter passage or other units"
        )
    if found is None:
        raise UsageError(
            f"no unit is on throughout the passage at the threshold {usual.threshold:g}; lower the threshold, or "
            "choose a shorter passage"
        )
    return found


def _column(text: str, groups: Sequence[Group]) -> int:
    """The column of the unit that `layer.unit` of the output state, `state.layer.unit` or `state[layer] unit` names."""
    found = UNIT.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"{text!r} names no unit; give layer.unit, such as 0.317, or a state's name too, such as cell.0.317"
        )
    state, layer, number = found["state"] or groups[0].tensor, int(found["layer"]), int(found["number"])
    for group in groups:
        if (group.tensor, group.layer) == (state, layer) and number < group.size:
            return group.first + number
    known = ", ".join(f"{group.name} 0 to {group.size - 1}" for group in groups)
    raise UsageError(f"the model has no unit {text}; its units are {known}")


def _match(found: Found, tokens: Any, encoding: Encoding, length: int) -> Match:
    def text(start: int, end: int) -> str:
        part = tokens[max(0, start) : max(0, end)]
        return "".join(encoding.decoder().decode(part.tolist()))

    start, end = found.place, found.place + length
    return Match(
        found.split,
        start,
        text(start - CONTEXT, start),
        text(start, end),
        text(end, end + CONTEXT),
        found.through,
        found.score,
    )


__all__ = ["Match", "PassageMatches", "find_passages"]
