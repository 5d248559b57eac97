"""The result of a training: metrics, the sample, and the next commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from charpipe.plugin import PipelineResult

SAMPLE_LINES = 24
SAMPLE_WIDTH = 96


@dataclass(frozen=True)
class TrainingResult(PipelineResult):
    """A run, its metrics, its predictions after each character of a tiny text, and its sample.

    `warning` is set where the model is worse than guessing.
    """

    run: str
    corpus: str
    metrics: Mapping[str, float]
    warning: str | None
    predictions: tuple[Mapping[str, Any], ...]
    sample: str

    def to_json(self) -> dict[str, Any]:
        found = super().to_json()
        return {**found, "predictions": list(found["predictions"])}


def show(result: TrainingResult, *, dry_run: bool = False) -> Iterator[str]:
    """The closing lines of a training."""
    if dry_run:
        return
    yield ""
    yield from _scores(result.metrics)
    if result.warning:
        yield f"  warning: {result.warning}"
    yield from _predictions(result.predictions)
    yield from _sample(result.sample)
    yield f"  run       {result.run}"
    yield ""
    for command, meaning in _next(result.run):
        yield f"  {command:<58} {meaning}"


def _scores(metrics: Mapping[str, float]) -> Iterator[str]:
    for split in ("val", "test"):
        loss, bits = metrics.get(f"{split}/loss"), metrics.get(f"{split}/bits_per_char")
        if loss is not None:
            error = metrics.get(f"{split}/loss_standard_error")
            spread = f" ± {error:.4f}" if error else ""
            yield f"  {split:<9} {loss:.4f}{spread} nats per token" + (
                f", {bits:.4f} bits per character" if bits else ""
            )
    for split in ("test", "val"):
        found = {name: metrics.get(f"{split}/{name}_bits_per_char") for name in ("xz", "zstd")}
        if words := [f"{name} {bits:.4f}" for name, bits in found.items() if bits]:
            yield f"  {'':<9} {', '.join(words)} bits per character for the {split} text alone"


def _predictions(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield "  predicted next characters:"
    for row in rows:
        chances = "  ".join(f"{label} {share:.3f}" for label, share in row["next"].items())
        yield f"    after {row['text']!r:<12} {chances}"
    yield ""


def _sample(text: str) -> Iterator[str]:
    if not text:
        return
    lines = [row for line in text.splitlines() for row in _wrapped(line)]
    yield ""
    for line in lines[:SAMPLE_LINES]:
        yield f"  │ {line}"
    if len(lines) > SAMPLE_LINES:
        yield f"  │ … {len(lines) - SAMPLE_LINES} lines more"
    yield ""


def _wrapped(line: str) -> list[str]:
    """A line as the terminal can show it: tabs as spaces, control characters as dots, wrapped to one width."""
    shown = "".join(letter if letter.isprintable() else "·" for letter in line.expandtabs(8))
    return [shown[start : start + SAMPLE_WIDTH] for start in range(0, len(shown), SAMPLE_WIDTH)] or [""]


def _next(run: str) -> Iterator[tuple[str, str]]:
    yield f"charpipe sample {run}", "generate more text"
    yield f"charpipe report {run}", "its report, as a web page"
    yield f"charpipe inspect {run}", "which features its units detect"
    yield f"charpipe runs show {run}", "everything about the run"
    yield "charpipe ui", "see it in MLflow and Prefect"
