"""The report of a run: one self-contained HTML page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from charpipe.errors import RunError
from charpipe.evaluation.baselines import is_baseline
from charpipe.inspection.surprise import Surprise
from charpipe.pages import render
from charpipe.pages.charts import Axes, Chart, Line, ReferenceLine, chart
from charpipe.reports.history import Point, RunHistory, read_history
from charpipe.reports.titles import model_title
from charpipe.runs import Run, RunInfo
from charpipe.runs.folder import Status
from charpipe.runs.uniform_baseline import warn_about

BITS, LOSS, RATE = "val/bits_per_char", "train/loss", "train/learning_rate"
CHARTED = (BITS, LOSS, RATE, "val/loss", "perf/chars_per_second")
"""Metrics with their own charts and figures; every other metric with a curve gets a chart under its name."""
MAX_SAMPLES = 60
"""Maximum samples shown: evenly spaced ones, with the first and the last."""
LONGEST_SAMPLE = 4000
"""Maximum characters shown per sample."""
FULL_BITS = 8
"""Surprise at which the color is full: a probability of 1/256."""


def report(run: Run) -> str:
    """The HTML page. Raises RunError if nothing was measured yet, or the run is damaged or of another schema."""
    info, status, history = run.info, run.status, read_history(run)
    if not history.curves and not history.samples:
        raise RunError(
            f"the run {run.name} has measured nothing yet ({status.state} at step {status.step}); "
            f"type: charpipe resume {run.name}"
        )
    metrics = status.metrics or (status.best or status.last or {}).get("metrics", {})
    return render(
        "report.html",
        run=run.name,
        title=model_title(info),
        info=info,
        status=status,
        warning=warn_about(info, status),
        figures=_figures(status, metrics),
        surprise=_surprise(run),
        charts=_charts(history, metrics, status.metrics.get(BITS)),
        paused=history.paused,
        samples=_evolution(history, status),
        compared=_compared(info, metrics),
        novelty=_novelty(run, metrics),
        settings=_settings(info),
        scores=[(name, _written(value)) for name, value in sorted(metrics.items())],
    )


def _figures(status: Status, metrics: Mapping[str, float]) -> list[tuple[str, str]]:
    """The key figures, as far as they are known."""
    found: list[tuple[str, str]] = []
    for split, name in (("test", "test"), ("val", "validation")):
        if f"{split}/bits_per_char" in metrics:
            found.append((f"bits per character, {name}", f"{metrics[f'{split}/bits_per_char']:.3f}"))
    if status.parameters:
        found.append(("parameters", f"{status.parameters:,}"))
    found.append(("steps", f"{status.step:,}"))
    if status.seconds:
        found.append(("training", _duration(status.seconds)))
    if speed := metrics.get("perf/chars_per_second"):
        found.append(("characters a second", f"{speed:,.0f}"))
    return found


def _surprise(run: Run) -> dict[str, Any] | None:
    """Held-out text, each piece with the depth of its color in percent and its surprise as text; None if the run has
    none, as in earlier versions."""
    found = Surprise.from_json(run.kept("evaluate").get("surprise") or {})
    if found is None:
        return None
    pieces = [(piece, *_coloured(bits)) for piece, bits in zip(found.pieces, found.bits, strict=True)]
    known = [bits for bits in found.bits[1:] if math.isfinite(bits)]
    return {
        "split": {"val": "validation", "test": "test"}.get(found.split, found.split),
        "pieces": pieces,
        "characters": sum(map(len, found.pieces)),
        "full": FULL_BITS,
        "mean": sum(known) / len(known) if len(known) == len(found.bits) - 1 and known else None,
    }


def _coloured(bits: float) -> tuple[int, str]:
    if math.isnan(bits):
        return 0, "first character: not predicted"
    if math.isinf(bits):
        return 100, "probability 0"
    return round(100 * min(1.0, max(0.0, bits) / FULL_BITS)), f"{bits:.2f} bits"


def _charts(
    history: RunHistory, metrics: Mapping[str, float], whole: float | None
) -> list[tuple[Chart, str]]:
    """Each chart with its caption; charts without data are left out. `whole` is the score of the whole validation
    split, which may differ from the end of the curve of evaluations during training."""
    bits = history.curve(BITS)
    levels = _levels(metrics)
    steps = Axes("step", "bits per character")
    clock = Axes("time", "bits per character", _duration, time=True)
    beside = "; dashed, what compressors need for the held-out text" if levels else ""
    loss = [
        Line("training", 2, _over_steps(history.curve(LOSS))),
        Line("validation", 1, _over_steps(history.curve("val/loss"))),
    ]
    rate = [Line("learning rate", 3, _over_steps(history.curve(RATE)))]
    apart = ", pauses between sessions left out" if history.paused else ""
    scored = "" if whole is None else f"; the whole split after training: {whole:.3f}"
    validation = f"Bits per character of validation text, by step, as scored while training{scored}"
    found = [
        (
            chart([Line("validation", 1, _over_steps(bits))], steps, levels),
            f"{validation}{beside}. Lower is better.",
        ),
        (chart([Line("validation", 1, _over_time(bits))], clock, levels), f"The same against time{apart}."),
        (
            chart(loss, Axes("step", "nats per token")),
            "The loss by step, on training and on validation text.",
        ),
        (chart(rate, Axes("step", "learning rate")), "The learning rate by step."),
    ]
    found += [
        (chart([Line(name, 1, _over_steps(points))], Axes("step", name)), f"{name}.")
        for name, points in sorted(history.curves.items())
        if name not in CHARTED and len(points) > 1
    ]
    return [(drawn, caption) for drawn, caption in found if drawn is not None]


def _levels(metrics: Mapping[str, float]) -> list[ReferenceLine]:
    """The compressors' baselines for the held-out text: the test text, or else the validation text."""
    for split in ("test", "val"):
        found = [
            ReferenceLine(name.replace("_", " "), metrics[f"{split}/{name}_bits_per_char"])
            for name in ("xz", "zstd", "xz_after_training", "zstd_after_training")
            if f"{split}/{name}_bits_per_char" in metrics
        ]
        if found:
            return found
    return []


def _over_steps(points: list[Point]) -> list[tuple[float, float]]:
    return [(point.step, point.value) for point in points]


def _over_time(points: list[Point]) -> list[tuple[float, float]]:
    return [(point.seconds, point.value) for point in points]


def _evolution(history: RunHistory, status: Status) -> list[dict[str, Any]]:
    """Samples by step, each with the latest validation score at that step; the final sample has the score of the
    final evaluation, which used the same checkpoint."""
    bits, samples = history.curve(BITS), history.samples
    if len(samples) > MAX_SAMPLES:
        last = len(samples) - 1
        samples = [samples[round(n * last / (MAX_SAMPLES - 1))] for n in range(MAX_SAMPLES)]
    shown = []
    for sample in samples:
        known = [point.value for point in bits if point.step <= sample["step"]]
        text = sample["text"]
        cut = {"text": text[:LONGEST_SAMPLE], "cut": len(text) > LONGEST_SAMPLE}
        shown.append({**sample, **cut, "bits": known[-1] if known else None})
    if shown and shown[-1]["step"] == status.step and BITS in status.metrics:
        shown[-1]["bits"] = status.metrics[BITS]
    return shown


def _compared(info: RunInfo, metrics: Mapping[str, float]) -> list[tuple[str, str, float]]:
    """This model and the baselines, best first: `(name, split, bits per character)`."""
    scored = {name.partition("/")[0] for name in metrics if is_baseline(name)}
    split = "test" if "test" in scored else "val" if scored else None
    if split is None:
        return []
    rows = [
        (key.partition("/")[2].removesuffix("_bits_per_char").replace("_", " "), split, value)
        for key, value in metrics.items()
        if key.startswith(f"{split}/") and is_baseline(key)
    ]
    if (own := metrics.get(f"{split}/bits_per_char")) is not None:
        rows.append((f"{model_title(info)}, this run", split, own))
    return sorted(rows, key=lambda row: row[2])


def _novelty(run: Run, metrics: Mapping[str, float]) -> dict[str, Any] | None:
    if "sample/novel_share" not in metrics:
        return None
    return {
        "novel": metrics["sample/novel_share"],
        "duplicate": metrics.get("sample/duplicate_share", math.nan),
        "lines": round(metrics.get("sample/lines", 0)),
        "examples": run.kept("evaluate").get("novelty", {}).get("examples", []),
    }


def _settings(info: RunInfo) -> list[tuple[str, str, str]]:
    """Non-default settings: `(key, value, source)`."""
    return [
        (key, _written(info.settings[key]), origin)
        for key, origin in sorted(info.origins.items())
        if info.concerns(key) and origin != "built in"
    ]


def _written(value: object) -> str:
    """A value in readable form, without Python's notation for dictionaries, lists and booleans."""
    if isinstance(value, bool | dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return f"{value:,.4f}" if isinstance(value, float) else "unset" if value is None else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest} s"
