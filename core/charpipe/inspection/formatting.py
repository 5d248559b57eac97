"""The findings formatted for people and programs: areas under the curve and correlations."""

from __future__ import annotations

from typing import Any

from charpipe.inspection.search import MARGIN, MIN_SCORE, Finding, Scored, Search, metric, shown


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
        "runners_up": [_scored(finding, one) for one in finding.runners_up],
    }


def _scored(finding: Finding, scored: Scored) -> dict[str, Any]:
    unit = scored.unit
    return {
        "unit": {"tensor": unit.tensor, "layer": unit.layer, "number": unit.number, "sign": scored.sign},
        "choosing": _rounded(shown(finding, scored.choosing)),
        "held_out": _rounded(shown(finding, scored.held_out)),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
