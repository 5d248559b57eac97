"""Finding units that a person can interpret, and not fooling oneself about them.

With hundreds of units, the best of them tells any signal a little. So the unit is chosen on one text and scored on
another, and beside it stand the best units, found in the very same way, of networks that never learnt (the same
architecture with new weights) and for signals that have nothing to do with the text (the same signals, moved along the
text in a circle, which keeps how long and how often they are on).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from charpipe.inspection.probe import strengths, threshold
from charpipe.inspection.segments import Lanes, affordable, cut, record
from charpipe.inspection.signals import GRADED, SIGNALS, Signal
from charpipe.inspection.text_kinds import Kind, has, kind_of
from charpipe.inspection.units import Group, Unit, count, groups, unit_at
from charpipe.models import Predictor
from charpipe.pages.notebook import escaped, table
from charpipe.plugin import Encoding

MARGIN = 0.1
"""By so much a unit's strength must exceed both controls' (0.05 of an area under the curve)."""
LEAST = 0.5
"""The strength below which nobody would call a unit by the signal's name (an area of 0.75)."""
SHIFTS = 20
SPANS = 5
CHARACTERS = 50
"""A signal with fewer spans, or fewer characters on or off, in either text is too rare to say anything about."""
RUNNERS_UP = 4

Array = NDArray[Any]
Verdict = Literal["found", "not above the controls", "too rare", "not of this kind of text"]


@dataclass(frozen=True)
class Scored:
    """A unit and its strengths on the text that chose it and on the other; the sign is that of the choosing text."""

    unit: Unit
    sign: int
    choosing: float
    held_out: float


@dataclass(frozen=True, repr=False)
class Finding:
    """What the search has to say about a signal. `spans` and `base` (the share of characters where it is on; for a
    graded one its mean) are of the choosing and of the held-out text. `untrained` and `shuffled` are the strongest
    held-out strengths among the controls. `hits` and `false_alarms`: the shares of held-out characters inside and
    outside at which the unit is beyond the threshold that the choosing text sets."""

    signal: Signal
    verdict: Verdict
    spans: tuple[int, int]
    base: tuple[float, float]
    best: Scored | None = None
    untrained: float | None = None
    shuffled: float | None = None
    hits: float | None = None
    false_alarms: float | None = None
    runners_up: tuple[Scored, ...] = ()

    def __repr__(self) -> str:
        unit = ""
        if self.best is not None:
            unit = f", {self.best.unit.name}, {metric(self)} {shown(self, self.best.held_out):.3f}"
        return f"<Finding: {self.signal.name}, {self.verdict}{unit}>"


def metric(finding: Finding) -> str:
    """What its scores are: `AUC`, or `rank correlation` for signals that count."""
    return "rank correlation" if finding.signal.graded else "AUC"


def shown(finding: Finding, strength: float | None) -> float | None:
    """A strength on the finding's metric: from 0 to 1 with 0.5 for chance, or a correlation from -1 to 1."""
    if strength is None or finding.signal.graded:
        return strength
    return (strength + 1) / 2


@dataclass(frozen=True, repr=False)
class Search:
    """The findings, the clearest first; how many characters chose and scored, and how many controls there were."""

    findings: tuple[Finding, ...]
    choosing: int
    held_out: int
    units: int
    untrained: int
    shifts: int = SHIFTS
    kind: Kind = "mixed"
    """What the choosing text was taken for: the signals of its kind were tried."""
    kind_was_given: bool = False
    """Whether a person said so; otherwise the text told it."""

    @property
    def rare(self) -> tuple[Finding, ...]:
        """Those that texts of this kind may have, and of which there was too little in these."""
        return tuple(
            one for one in self.findings if one.verdict == "too rare" and has(self.kind, one.signal.key)
        )

    def __repr__(self) -> str:
        found = sum(finding.verdict == "found" for finding in self.findings)
        return f"<Search: {found} of {len(self.findings)} signals found in {self.units:,} units>"

    def _repr_html_(self) -> str:
        """The findings with a unit, for a notebook."""
        rows = [
            (
                one.signal.name,
                f"{one.best.unit.name} {'falls' if one.best.sign < 0 else 'rises'}",
                f"{shown(one, one.best.held_out):.3f}",
                metric(one),
                one.verdict,
            )
            for one in self.findings
            if one.best is not None
        ]
        head = ("signal", "unit", "held out", "", "")
        return f"<p>{escaped(repr(self))}</p>{table(head, rows) if rows else ''}"


def search(
    predictor: Predictor,
    untrained: Sequence[Predictor],
    encoding: Encoding,
    choosing: Array,
    held_out: Array,
    wanted: int,
    tell: Callable[[str], None] = lambda sentence: None,
    kind: Kind | None = None,
) -> Search:
    """Hold every unit against every signal, on up to `wanted` tokens of two texts, given as tokens.

    The signals are those of texts of this `kind`, which without it is told by the choosing text."""
    found = groups(predictor)
    most = affordable(count(found), wanted)
    texts = cut(encoding, choosing, most), cut(encoding, held_out, most)
    tell(f"searching {count(found):,} units over 2 x {len(texts[0].signals):,} characters")
    told_kind, kind = kind is not None, kind or kind_of(_pieces(encoding, choosing))
    frequent = [n for n in range(len(SIGNALS)) if all(_is_frequent(t.signals[:, n]) for t in texts)]
    usable = [n for n in frequent if has(kind, SIGNALS[n].key)]
    probe = _Probe(texts, usable)
    recorded = record(predictor, texts[0]), record(predictor, texts[1])
    controls = []
    for number, blank in enumerate(untrained, 1):
        tell(f"searching an untrained network, {number} of {len(untrained)}")
        controls.append(probe.best(*probe.all((record(blank, texts[0]), record(blank, texts[1])))))
    evidence = _Evidence(
        texts, found, recorded, probe.all(recorded), np.array(controls), probe.shuffled(recorded)
    )
    findings = [evidence.finding(number, place) for place, number in enumerate(usable)]
    return Search(
        (*sorted(findings, key=_clearest_first), *evidence.others(usable, frequent)),
        len(texts[0].signals),
        len(texts[1].signals),
        count(found),
        len(controls),
        kind=kind,
        kind_was_given=told_kind,
    )


def _pieces(encoding: Encoding, tokens: Array, many: int = 4, size: int = 5000) -> str:
    """Evenly spaced pieces of a text, by which its kind is told."""
    starts = np.linspace(0, max(0, len(tokens) - size), many if len(tokens) > size else 1).astype(np.int64)
    pieces = [encoding.decoder().decode(tokens[start : start + size].tolist()) for start in starts]
    return "\n".join(pieces)


def _clearest_first(finding: Finding) -> tuple[bool, float]:
    return finding.verdict != "found", -finding.best.held_out if finding.best else 0.0


class _Probe:
    """Strengths on both texts, for the signals that are frequent enough."""

    def __init__(self, texts: tuple[Lanes, Lanes], usable: Sequence[int]) -> None:
        self.signals = texts[0].signals[:, usable], texts[1].signals[:, usable]
        self.graded = GRADED[usable]

    def all(self, recorded: tuple[Array, Array]) -> tuple[Array, Array]:
        """Of every unit, [units, signals] each."""
        return (
            strengths(recorded[0], self.signals[0], self.graded),
            strengths(recorded[1], self.signals[1], self.graded),
        )

    @staticmethod
    def best(choosing: Array, held_out: Array) -> Array:
        """For each signal the held-out strength of the unit that the choosing text chose."""
        chosen = np.abs(choosing).argmax(0)
        columns = np.arange(choosing.shape[1])
        found: Array = np.sign(choosing[chosen, columns]) * held_out[chosen, columns]
        return found

    def shuffled(self, recorded: tuple[Array, Array]) -> Array:
        """As `best`, the strongest among SHIFTS copies of each signal, moved along its text in a circle."""
        generator = np.random.default_rng(0)
        moved = []
        for values in self.signals:
            least = len(values) // (2 * SHIFTS)
            offsets = generator.integers(least, max(least + 1, len(values) - least), SHIFTS)
            moved.append(np.concatenate([np.roll(values, offset, 0) for offset in offsets], 1))
        graded = np.tile(self.graded, SHIFTS)
        scored = self.best(strengths(recorded[0], moved[0], graded), strengths(recorded[1], moved[1], graded))
        found: Array = scored.reshape(SHIFTS, -1).max(0, initial=-1.0)
        return found


@dataclass(frozen=True)
class _Evidence:
    """All that was measured: strengths of the model's own units on both texts, [units, signals], and the strengths
    that each control reached, [networks, signals] and [signals]."""

    texts: tuple[Lanes, Lanes]
    groups: Sequence[Group]
    recorded: tuple[Array, Array]
    own: tuple[Array, Array]
    untrained: Array
    shuffled: Array

    def finding(self, number: int, place: int) -> Finding:
        """What came out for signal `number`, the `place`th of the frequent ones."""
        order = np.argsort(-np.abs(self.own[0][:, place]), kind="stable")[: 1 + RUNNERS_UP].tolist()
        best, *others = [self._scored(unit, place) for unit in order]
        untrained = float(self.untrained[:, place].max()) if len(self.untrained) else None
        shuffled = float(self.shuffled[place])
        bar = max(LEAST, MARGIN + max(shuffled, untrained or 0.0))
        hits, false_alarms = self._rates(number, order[0], best.sign)
        return Finding(
            SIGNALS[number],
            "found" if untrained is not None and best.held_out >= bar else "not above the controls",
            self._spans(number),
            self._bases(number),
            best,
            untrained,
            shuffled,
            hits,
            false_alarms,
            tuple(others),
        )

    def others(self, usable: Sequence[int], frequent: Sequence[int]) -> list[Finding]:
        """The signals of which there is too little, or that are not looked for in texts of this kind."""
        return [
            Finding(
                SIGNALS[n],
                "not of this kind of text" if n in frequent else "too rare",
                self._spans(n),
                self._bases(n),
            )
            for n in range(len(SIGNALS))
            if n not in usable
        ]

    def _scored(self, unit: int, place: int) -> Scored:
        choosing, held_out = float(self.own[0][unit, place]), float(self.own[1][unit, place])
        sign = -1 if choosing < 0 else 1
        return Scored(unit_at(self.groups, unit), sign, sign * choosing, sign * held_out)

    def _rates(self, number: int, unit: int, sign: int) -> tuple[float | None, float | None]:
        """Hits and false alarms on the held-out text, beyond the threshold of the choosing text."""
        if GRADED[number]:
            return None, None
        choosing, held_out = (sign * one[:, unit].astype(np.float64) for one in self.recorded)
        beyond = held_out > threshold(choosing, self.texts[0].signals[:, number])
        on = self.texts[1].signals[:, number] > 0
        return float(beyond[on].mean()), float(beyond[~on].mean())

    def _spans(self, number: int) -> tuple[int, int]:
        first, second = (_count_spans(text.signals[:, number]) for text in self.texts)
        return first, second

    def _bases(self, number: int) -> tuple[float, float]:
        first, second = (float(text.signals[:, number].mean()) for text in self.texts)
        return first, second


def _is_frequent(values: Array) -> bool:
    """Whether a text has enough of a signal: spans, and characters that differ from most others."""
    usual = np.unique(values, return_counts=True)[1].max(initial=0)
    return bool(len(values) - usual >= CHARACTERS and _count_spans(values) >= SPANS)


def _count_spans(values: Array) -> int:
    """How often the signal goes on; for a graded one, how often it rises."""
    return int((np.diff(values, prepend=0) > 0).sum())
