"""What is printed at the end: the numbers, the sample, and the next commands."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from charpipe.cli.views.ranking import ranking
from charpipe.cli.views.reproduction import reproduction

SAMPLE_LINES = 24
SAMPLE_WIDTH = 96


def summary(result: Mapping[str, Any], *, dry_run: bool = False, told: Collection[str] = ()) -> Iterator[str]:
    """The lines that close a pipeline. `result` is what it returned; a warning that was `told` is not repeated."""
    if "reproduction" in result:
        yield from reproduction(result)
        if not dry_run:
            return
    if dry_run:
        yield "\nNothing was done (--dry-run)."
        return
    if "leaderboard" in result:
        yield from ranking(result)
        return
    run = result.get("run")
    if run is None:
        return
    yield ""
    yield from _scores(result.get("metrics", {}))
    if (warning := result.get("warning")) and warning not in told:
        yield f"  warning: {warning}"
    yield from _predictions(result.get("predictions", []))
    yield from _sample(str(result.get("sample", "")))
    yield f"  run       {run}"
    yield ""
    for command, meaning in _next(str(run)):
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


def _predictions(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield "  what it expects next:"
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
    """A line as the terminal can show it: tabs as spaces, control characters as dots, in pieces of one width."""
    shown = "".join(letter if letter.isprintable() else "·" for letter in line.expandtabs(8))
    return [shown[start : start + SAMPLE_WIDTH] for start in range(0, len(shown), SAMPLE_WIDTH)] or [""]


def _next(run: str) -> Iterator[tuple[str, str]]:
    yield f"charpipe sample {run}", "let it write more"
    yield f"charpipe report {run}", "its report, as a web page"
    yield f"charpipe inspect {run}", "what its units respond to"
    yield f"charpipe runs show {run}", "everything about the run"
    yield "charpipe ui", "see it in MLflow and Prefect"
