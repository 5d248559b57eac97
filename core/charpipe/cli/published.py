"""The block of `charpipe runs show` with the published scores of a benchmark corpus, and how the run differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from charpipe.cli.output import for_output, print_table
from charpipe.config.load import BUILT_IN
from charpipe.runs import Run
from charpipe.runs.published_scores import PublishedScore, published_scores, published_unit

SHORT = {"bits_per_char": "bits/char", "bits_per_byte": "bits/byte"}
BENCHMARK = ("include", "exclude", "encoding", "errors", "newline", "drop", "split", "tokenizer")
"""Settings of a corpus that make another benchmark of it."""


def published_json(run: Run) -> list[dict[str, Any]]:
    """The published scores of the run's corpus, as JSON."""
    unit = published_unit(run.info.corpus)
    return [
        {"name": one.name, "parameters": one.parameters, unit: one.bits, "source": one.source}
        for one in published_scores(run.info.corpus)
    ]


def print_published(run: Run, training_tokens: int | None, catalogue: Mapping[str, str]) -> None:
    """Print the published scores of the run's corpus, apart from the run's own; nothing for other corpora.

    `training_tokens`: the length of the training text, if it is known. `catalogue`: where the settings of the corpora
    come from (see `Resolved.origins`).
    """
    scores = published_scores(run.info.corpus)
    if not scores:
        return
    typer.echo(f"\npublished scores of {run.info.corpus}, on its test text")
    head = ("model", "parameters", SHORT[published_unit(run.info.corpus)], "source")
    print_table(head, [_cells(one) for one in scores], "  none")
    typer.echo("\nthis run beside them")
    for line in differences(run, scores, training_tokens, catalogue):
        typer.echo(for_output(f"  {line}"))


def _cells(one: PublishedScore) -> tuple[str, ...]:
    parameters = "" if one.parameters is None else f"{one.parameters:,}"
    return one.name, parameters, f"{one.bits:.3f}", one.source


def differences(
    run: Run,
    scores: tuple[PublishedScore, ...],
    training_tokens: int | None,
    catalogue: Mapping[str, str],
) -> Iterator[str]:
    """How the run differs from the published ones: its score, its parameters, and how much of the text it read."""
    status = run.status
    unit = published_unit(run.info.corpus)
    bits = status.metrics.get(f"test/{unit}")
    best = min(scores, key=lambda one: one.bits)
    if bits is None:
        yield "score: none on the test text yet"
    else:
        more = bits - best.bits
        yield f"score: {bits:.3f} {SHORT[unit]}, {abs(more):.3f} {'more' if more > 0 else 'less'} than {best.name}"
    sizes = [one.parameters for one in scores if one.parameters is not None]
    if status.parameters is not None:
        share = f"; {100 * status.parameters / max(sizes):.3g} % of the largest" if sizes else ""
        yield f"parameters: {status.parameters:,}{share}"
    settings = run.info.settings
    read = status.step * int(settings.get("train.batch_size", 0)) * int(settings.get("train.window", 0))
    if training_tokens and read:
        yield f"training text: {read:,} of {training_tokens:,} tokens read, {read / training_tokens:.3g} passes"
    if changed := [
        *_changed(run.info.origins, "corpus."),
        *_changed(catalogue, f"corpora.{run.info.corpus}."),
    ]:
        yield f"corpus: not as published, because these settings are changed: {', '.join(changed)}"


def _changed(origins: Mapping[str, str], table: str) -> list[str]:
    """The settings of a benchmark that do not come from charpipe's catalogue."""
    own = sorted(key for key, origin in origins.items() if key.startswith(table) and origin != BUILT_IN)
    return [key for key in own if key.removeprefix(table).partition(".")[0] in BENCHMARK]
