"""The inspection as one self-contained HTML page: the text, the model's predictions, every unit."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from charpipe.inspection.ablation import Ablations
from charpipe.inspection.activations import Reading
from charpipe.inspection.findings import Finding, Search, metric, shown
from charpipe.inspection.gallery import gallery
from charpipe.inspection.packing import Packed, pack
from charpipe.inspection.search import MARGIN, MIN_SCORE
from charpipe.inspection.segments import RUN_UP
from charpipe.inspection.signals import SIGNALS, measure
from charpipe.inspection.units import Unit
from charpipe.pages import embeddable, render

IMPOSSIBLE = -1
"""Represents infinitely many bits, which JSON cannot express."""
ABLATED = 40
"""Units in the table of what units are worth."""
FACE = {"\\n": "⏎", "\\t": "⇥", "\\r": "␍"}


def page(
    reading: Reading,
    labels: Sequence[str],
    search: Search | None,
    ablations: Ablations | None = None,
    *,
    run: str,
    model: str,
    source: str,
    searched: str = "",
    notices: Sequence[str] = (),
    command: str = "charpipe inspect",
) -> str:
    """The self-contained page. `labels` are the vocabulary's; the texts may contain any characters. `command` inspects
    the same text again."""
    packed = pack(reading.units, reading.groups)
    rows = [_row(finding, reading) for finding in search.findings if finding.best] if search else []
    for row, place in zip(rows, _places(search), strict=True):
        row["runs"], row["contrast"] = _seen(reading, packed, row["best"], place)
    found = [row for row in rows if row["verdict"] == "found"]
    chips = sorted(found, key=lambda row: -row["contrast"])
    return render(
        "inspection.html",
        run=run,
        model=model,
        source=source,
        searched=searched,
        notices=notices,
        characters=len(reading.text),
        bits_per_char=reading.bits_per_char,
        groups=reading.groups,
        search=search,
        rows=rows,
        chips=chips,
        gallery=gallery(chips, reading.pieces, packed),
        rare=search.rare if search else (),
        ablations=ablations,
        ablated=[(row, _column(row.unit, reading)) for row in ablations.rows[:ABLATED]] if ablations else [],
        run_up=RUN_UP,
        least=(1 + MIN_SCORE) / 2,
        margin=MARGIN / 2,
        data=embeddable(_data(reading, labels, packed) | {"command": command}),
        units=packed.data,
    )


def _places(search: Search | None) -> list[int]:
    """The index in SIGNALS of each finding with a unit."""
    keys = [signal.key for signal in SIGNALS]
    return [keys.index(finding.signal.key) for finding in search.findings if finding.best] if search else []


def _seen(
    reading: Reading, packed: Packed, best: dict[str, Any], place: int
) -> tuple[list[list[int]], float]:
    """Where a signal is on in the shown text, as `[first, after last]` pieces, and how much the unit's color differs
    between there and elsewhere: the difference of means over the spread within each; 0 without an example."""
    ends = np.cumsum([len(piece.text) for piece in reading.pieces]) - 1
    values = measure(reading.text)[ends, place]
    on = values > np.median(values) if SIGNALS[place].graded else values > 0
    changes = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(np.int8), [0]])))
    runs = [[int(first), int(last)] for first, last in changes.reshape(-1, 2)]
    if not on.any() or on.all():
        return runs, 0.0
    units = np.frombuffer(base64.b64decode(packed.data), np.int8).reshape(-1, len(reading.pieces))
    shown = best["sign"] * units[best["column"]].astype(np.float64)
    spread = shown[on].std() + shown[~on].std() + 32  # a quarter of the scale is clearly visible
    return runs, float((shown[on].mean() - shown[~on].mean()) / spread)


def _data(reading: Reading, labels: Sequence[str], packed: Packed) -> dict[str, Any]:
    """The script's data: for each piece of text its surprise in bits, and the predicted tokens as indices into
    `labels` with probabilities in thousandths."""
    used = sorted({int(token) for token in reading.likeliest.flat} | {int(token) for token in reading.tokens})
    places = {token: place for place, token in enumerate(used)}
    return {
        "cells": [piece.text for piece in reading.pieces],
        "bits": [_bits(float(bits)) for bits in reading.bits],
        "tokens": [places[int(token)] for token in reading.tokens],
        "labels": [FACE.get(labels[token], labels[token]) for token in used],
        "likeliest": [[places[int(token)] for token in row] for row in reading.likeliest],
        "chances": [[round(1000 * float(chance)) for chance in row] for row in reading.chances],
        "groups": [
            {"name": g.name, "size": g.size, "first": g.first, "shown": shown_as}
            for g, shown_as in zip(reading.groups, packed.shown, strict=True)
        ],
        "divisors": [float(f"{divisor:.3g}") for divisor in packed.divisors],
    }


def _bits(bits: float) -> float | None:
    if math.isnan(bits):
        return None
    return round(bits, 2) if math.isfinite(bits) else IMPOSSIBLE


def _row(finding: Finding, reading: Reading) -> dict[str, Any]:
    """A table row: the unit, its scores on both texts, and the controls' scores."""
    best = finding.best
    assert best is not None
    return {
        "name": finding.signal.name,
        "metric": metric(finding),
        "verdict": finding.verdict,
        "best": {"column": _column(best.unit, reading), "name": best.unit.name, "sign": best.sign},
        "choosing": shown(finding, best.choosing),
        "held_out": shown(finding, best.held_out),
        "untrained": shown(finding, finding.untrained),
        "shuffled": shown(finding, finding.shuffled),
        "hits": finding.hits,
        "false_alarms": finding.false_alarms,
        "base": finding.base[1],
        "graded": finding.signal.graded,
        "spans": finding.spans,
        "probe": _probe(finding, reading),
        "others": [
            {
                "column": _column(one.unit, reading),
                "name": one.unit.name,
                "held_out": shown(finding, one.held_out),
            }
            for one in finding.runners_up
        ],
    }


def _probe(finding: Finding, reading: Reading) -> dict[str, Any] | None:
    """The units and scores of the probe of several units."""
    probe = finding.sparse
    if probe is None:
        return None
    return {
        "units": [
            {"column": _column(unit, reading), "name": unit.name, "weight": weight}
            for unit, weight in probe.units
        ],
        "held_out": shown(finding, probe.held_out),
        "untrained": shown(finding, probe.untrained),
    }


def _column(unit: Unit, reading: Reading) -> int:
    group = next(g for g in reading.groups if (g.tensor, g.layer) == (unit.tensor, unit.layer))
    return group.first + unit.number
