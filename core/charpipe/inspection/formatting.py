"""The findings formatted for people and programs: areas under the curve and correlations."""

from __future__ import annotations

import math
from typing import Any

from charpipe.inspection.ablation import Ablation, Ablations, Rise
from charpipe.inspection.findings import Finding, Scored, Search, metric, shown
from charpipe.inspection.search import MARGIN, MIN_SCORE
from charpipe.inspection.sparse_probe import SparseProbe
from charpipe.inspection.units import Unit


def as_json(search: Search) -> dict[str, Any]:
    """The whole search as a JSON object; `unit` holds the unit's position in the model's state."""
    return {
        "characters": {"choosing": search.choosing, "held_out": search.held_out},
        "units": search.units,
        "kind": search.kind,
        "kind_was_given": search.kind_was_given,
        "controls": {"untrained_networks": search.untrained, "shuffles": search.shifts},
        "found_if": {"strength_at_least": MIN_SCORE, "above_controls_by": MARGIN},
        "findings": [finding_json(finding) for finding in search.findings],
    }


def finding_json(finding: Finding) -> dict[str, Any]:
    """One row of the table."""
    found = {
        "signal": finding.signal.key,
        "name": finding.signal.name,
        "metric": metric(finding),
        "verdict": finding.verdict,
        "spans": dict(zip(("choosing", "held_out"), finding.spans, strict=True)),
        "base_rate": dict(zip(("choosing", "held_out"), map(_rounded, finding.base), strict=True)),
    }
    if finding.best is None:
        return found
    return found | {
        **_scored(finding, finding.best),
        "untrained": _rounded(shown(finding, finding.untrained)),
        "shuffled": _rounded(shown(finding, finding.shuffled)),
        "hits": _rounded(finding.hits),
        "false_alarms": _rounded(finding.false_alarms),
        "probe": _probe_json(finding, finding.sparse),
        "runners_up": [_scored(finding, one) for one in finding.runners_up],
    }


def _probe_json(finding: Finding, probe: SparseProbe | None) -> dict[str, Any] | None:
    if probe is None:
        return None
    return {
        "units": [_unit_json(unit) | {"weight": _rounded(weight)} for unit, weight in probe.units],
        "choosing": _rounded(shown(finding, probe.choosing)),
        "held_out": _rounded(shown(finding, probe.held_out)),
        "untrained": _rounded(shown(finding, probe.untrained)),
    }


def unit_names(probe: SparseProbe) -> str:
    """`cell[0] 17 3, hidden[0] 8`: the units of a probe by tensor and layer, the largest weight first."""
    numbers: dict[str, list[str]] = {}
    for unit, _ in probe.units:
        numbers.setdefault(f"{unit.tensor}[{unit.layer}]", []).append(str(unit.number))
    return ", ".join(f"{layer} {' '.join(found)}" for layer, found in numbers.items())


def ablations_json(ablations: Ablations) -> dict[str, Any]:
    """The rises of the loss with units held at their means, in nats per character."""
    return {
        "loss": _rounded(ablations.loss),
        "characters": ablations.characters,
        "segments": ablations.segments,
        "held_within_step": ablations.within_step,
        "units": [_ablation_json(row) for row in ablations.rows],
    }


def _ablation_json(row: Ablation) -> dict[str, Any]:
    return {
        "unit": _unit_json(row.unit),
        "held_at": _rounded(row.held_at),
        "signal": row.signal.key if row.signal else None,
        "all": _rise_json(row.all),
        "on": _rise_json(row.on),
        "off": _rise_json(row.off),
    }


def _rise_json(rise: Rise | None) -> dict[str, Any] | None:
    """Null without a character or, for the error, with characters in a single segment."""
    if rise is None:
        return None
    nats, error = (None if math.isnan(one) else round(one, 6) for one in (rise.nats, rise.error))
    return {"nats_per_char": nats, "standard_error": error, "characters": rise.characters}


def _unit_json(unit: Unit) -> dict[str, Any]:
    return {"tensor": unit.tensor, "layer": unit.layer, "number": unit.number}


def _scored(finding: Finding, scored: Scored) -> dict[str, Any]:
    return {
        "unit": {**_unit_json(scored.unit), "sign": scored.sign},
        "choosing": _rounded(shown(finding, scored.choosing)),
        "held_out": _rounded(shown(finding, scored.held_out)),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
