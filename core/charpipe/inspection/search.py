"""Search for interpretable units, with controls against chance findings.

With hundreds of units, the best one predicts any signal a little. So a unit is selected on one text and scored on
another, and compared with the best units, found in the same way, of two controls: untrained networks (the same
architecture with new weights), and signals unrelated to the text (the same signals, shifted circularly along the
text, which preserves the length and frequency of their spans).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.inspection.findings import SHIFTS, Finding, Scored, Search
from charpipe.inspection.probe import strengths, threshold
from charpipe.inspection.segments import Segments, affordable, cut, record
from charpipe.inspection.signals import GRADED, SIGNALS
from charpipe.inspection.sparse_probe import UNITS, Fitted, Probes, SparseProbe
from charpipe.inspection.text_kinds import Kind, has, kind_of
from charpipe.inspection.units import Group, count, groups, unit_at
from charpipe.models import Predictor
from charpipe.plugin import Encoding

MARGIN = 0.1
"""The margin by which a unit's strength must exceed both controls' (0.05 of an area under the curve)."""
MIN_SCORE = 0.5
"""The minimum strength for naming a unit after a signal (an area of 0.75)."""
SPANS = 5
CHARACTERS = 50
"""A signal with fewer spans, or fewer characters on or off, in either text is too rare to evaluate."""
RUNNERS_UP = 4

Array = NDArray[Any]


def search(
    predictor: Predictor,
    untrained: Sequence[Predictor],
    encoding: Encoding,
    choosing: Array,
    held_out: Array,
    wanted: int,
    report: Callable[[str], None] = lambda sentence: None,
    kind: Kind | None = None,
    probe_units: int = UNITS,
) -> Search:
    """Score every unit, and a probe of up to `probe_units` units (0: none), for every signal, on up to `wanted` tokens
    of two texts, given as tokens.

    The signals are those of texts of this `kind`; without it, the kind is detected from the selection text.
    """
    found = groups(predictor)
    most = affordable(count(found), wanted)
    texts = cut(encoding, choosing, most), cut(encoding, held_out, most)
    report(f"searching {count(found):,} units over 2 x {len(texts[0].signals):,} characters")
    told_kind, kind = kind is not None, kind or kind_of(_pieces(encoding, choosing))
    frequent = [n for n in range(len(SIGNALS)) if all(_is_frequent(t.signals[:, n]) for t in texts)]
    usable = [n for n in frequent if has(kind, SIGNALS[n].key)]
    probe = _Probe(texts, usable)
    recorded = record(predictor, texts[0]), record(predictor, texts[1])
    report(f"fitting probes of up to {probe_units} units for {len(usable)} signals")
    sparse, blank_sparse, controls = probe.sparse(recorded, probe_units), [], []
    for number, blank in enumerate(untrained, 1):
        report(f"searching an untrained network, {number} of {len(untrained)}")
        both = record(blank, texts[0]), record(blank, texts[1])
        controls.append(probe.best(*probe.all(both)))
        blank_sparse.append(probe.sparse(both, probe_units))
    evidence = _Evidence(
        texts,
        found,
        recorded,
        probe.all(recorded),
        np.array(controls),
        probe.shuffled(recorded),
        _sparse_probes(found, sparse, blank_sparse),
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
    """Evenly spaced pieces of a text, from which its kind is detected."""
    starts = np.linspace(0, max(0, len(tokens) - size), many if len(tokens) > size else 1).astype(np.int64)
    pieces = [encoding.decoder().decode(tokens[start : start + size].tolist()) for start in starts]
    return "\n".join(pieces)


def _sparse_probes(
    groups: Sequence[Group],
    fitted: Sequence[Fitted | None],
    untrained: Sequence[Sequence[Fitted | None]],
) -> list[SparseProbe | None]:
    """The probes of each signal, with the best of those of the untrained networks."""
    found: list[SparseProbe | None] = []
    for place, one in enumerate(fitted):
        if one is None:
            found.append(None)
            continue
        blanks = [other.held_out for each in untrained if (other := each[place]) is not None]
        units = tuple((unit_at(groups, each.column), each.weight) for each in one.weights)
        found.append(SparseProbe(units, one.choosing, one.held_out, max(blanks, default=None)))
    return found


def _clearest_first(finding: Finding) -> tuple[bool, float]:
    return finding.verdict != "found", -finding.best.held_out if finding.best else 0.0


class _Probe:
    """Strengths on both texts, for the signals that are frequent enough."""

    def __init__(self, texts: tuple[Segments, Segments], usable: Sequence[int]) -> None:
        self.signals = texts[0].signals[:, usable], texts[1].signals[:, usable]
        self.graded = GRADED[usable]

    def all(self, recorded: tuple[Array, Array]) -> tuple[Array, Array]:
        """Strengths of every unit on both texts, [units, signals] each."""
        return (
            strengths(recorded[0], self.signals[0], self.graded),
            strengths(recorded[1], self.signals[1], self.graded),
        )

    def sparse(self, recorded: tuple[Array, Array], most: int) -> list[Fitted | None]:
        """A probe of up to `most` units for each signal; None with 0, or for a model without units."""
        if not most or not recorded[0].shape[1]:
            return [None] * len(self.graded)
        probes = Probes(recorded, most)
        return [
            probes.fit((self.signals[0][:, n], self.signals[1][:, n]), bool(graded))
            for n, graded in enumerate(self.graded)
        ]

    @staticmethod
    def best(choosing: Array, held_out: Array) -> Array:
        """For each signal, the held-out strength of the unit selected on the selection text."""
        chosen = np.abs(choosing).argmax(0)
        columns = np.arange(choosing.shape[1])
        found: Array = np.sign(choosing[chosen, columns]) * held_out[chosen, columns]
        return found

    def shuffled(self, recorded: tuple[Array, Array]) -> Array:
        """Like `best`, the maximum over SHIFTS circularly shifted copies of each signal."""
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
    """All measurements: strengths of the model's own units on both texts, [units, signals], and the strengths of each
    control, [networks, signals] and [signals]."""

    texts: tuple[Segments, Segments]
    groups: Sequence[Group]
    recorded: tuple[Array, Array]
    own: tuple[Array, Array]
    untrained: Array
    shuffled: Array
    sparse: Sequence[SparseProbe | None]

    def finding(self, number: int, place: int) -> Finding:
        """The finding for signal `number`, which is frequent signal number `place`."""
        order = np.argsort(-np.abs(self.own[0][:, place]), kind="stable")[: 1 + RUNNERS_UP].tolist()
        best, *others = [self._scored(unit, place) for unit in order]
        untrained = float(self.untrained[:, place].max()) if len(self.untrained) else None
        shuffled = float(self.shuffled[place])
        bar = max(MIN_SCORE, MARGIN + max(shuffled, untrained or 0.0))
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
            self.sparse[place],
        )

    def others(self, usable: Sequence[int], frequent: Sequence[int]) -> list[Finding]:
        """The signals that are too rare, or that are not searched for in texts of this kind."""
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
        """Hit rate and false alarm rate on the held-out text, at the threshold of the selection text."""
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
    """Whether a text has enough of a signal: spans, and characters whose value differs from most others."""
    usual = np.unique(values, return_counts=True)[1].max(initial=0)
    return bool(len(values) - usual >= CHARACTERS and _count_spans(values) >= SPANS)


def _count_spans(values: Array) -> int:
    """How often the signal turns on; for a graded one, how often it rises."""
    return int((np.diff(values, prepend=0) > 0).sum())
