"""What a search for interpretable units found, signal by signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from charpipe.inspection.signals import Signal
from charpipe.inspection.sparse_probe import SparseProbe
from charpipe.inspection.text_kinds import Kind, has
from charpipe.inspection.units import Unit
from charpipe.pages.notebook import escaped, table

SHIFTS = 20
"""Shifted copies of each signal, as a control."""
Verdict = Literal["found", "not above the controls", "too rare", "not of this kind of text"]


@dataclass(frozen=True)
class Scored:
    """A unit and its strengths on the selection text and on the held-out text; the sign is that of the selection
    text."""

    unit: Unit
    sign: int
    choosing: float
    held_out: float


@dataclass(frozen=True, repr=False)
class Finding:
    """The result for one signal. `spans` and `base` (the share of characters where it is on; for a graded signal its
    mean) are of the selection text and the held-out text. `untrained` and `shuffled` are the strongest held-out
    strengths of the controls. `hits` and `false_alarms` are the shares of held-out characters inside and outside the
    signal at which the unit is beyond the threshold set on the selection text."""

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
    sparse: SparseProbe | None = None
    """What several units together say about the signal."""

    def __repr__(self) -> str:
        unit = ""
        if self.best is not None:
            unit = f", {self.best.unit.name}, {metric(self)} {shown(self, self.best.held_out):.3f}"
        return f"<Finding: {self.signal.name}, {self.verdict}{unit}>"


def metric(finding: Finding) -> str:
    """The metric of its scores: `AUC`, or `rank correlation` for graded signals."""
    return "rank correlation" if finding.signal.graded else "AUC"


def shown(finding: Finding, strength: float | None) -> float | None:
    """A strength in the finding's metric: from 0 to 1 with 0.5 for chance, or a correlation from -1 to 1."""
    if strength is None or finding.signal.graded:
        return strength
    return (strength + 1) / 2


@dataclass(frozen=True, repr=False)
class Search:
    """The findings, clearest first; the numbers of characters for selecting and for scoring, and the numbers of
    controls."""

    findings: tuple[Finding, ...]
    choosing: int
    held_out: int
    units: int
    untrained: int
    shifts: int = SHIFTS
    kind: Kind = "mixed"
    """The kind of the selection text; only the signals of this kind were tried."""
    kind_was_given: bool = False
    """Whether the user set the kind; otherwise it was detected."""

    @property
    def rare(self) -> tuple[Finding, ...]:
        """The signals of this kind of text that were too rare in these texts."""
        return tuple(
            one for one in self.findings if one.verdict == "too rare" and has(self.kind, one.signal.key)
        )

    def __repr__(self) -> str:
        found = sum(finding.verdict == "found" for finding in self.findings)
        return f"<Search: {found} of {len(self.findings)} signals found in {self.units:,} units>"

    def _repr_html_(self) -> str:
        """The findings that have a unit, for notebooks."""
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


def detectors(search: Search) -> dict[Unit, Signal]:
    """The units found, clearest first, each with the signal that it detects best."""
    found: dict[Unit, Signal] = {}
    for finding in search.findings:
        if finding.best is not None and finding.verdict == "found":
            found.setdefault(finding.best.unit, finding.signal)
    return found
