"""`charpipe inspect`: what a model's units do while it reads, as a page, and those that a person can interpret."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charpipe.cli.arguments import Checkpoint, Device, JsonObject, ModelName, Set, Strict
from charpipe.cli.browser import Open, open_page
from charpipe.cli.environment import settings
from charpipe.cli.output import print_json, print_table
from charpipe.errors import UsageError

if TYPE_CHECKING:
    from charpipe.api.inspect import Inspection
    from charpipe.inspection import Ablations, Finding, Rise, Search

COLUMNS = (
    "signal",
    "unit",
    "score",
    "chosen at",
    "held out",
    "untrained",
    "shuffled",
    "in/out",
    "times on",
    "",
)
PROBES = ("signal", "best unit", "held out", "together", "untrained", "units together, largest weight first")
WORTH = ("unit", "held at", "rise", "while signal is on", "while off", "signal")
ABLATED = 20
"""Units in the table of what units are worth."""
DROPPED = ("shuffled", "chosen at", "times on", "untrained", "in/out", "score")
"""Columns that a narrow terminal goes without, the first of them first."""


def inspect(
    run: ModelName = "last",
    file: Annotated[
        str | None,
        typer.Argument(
            help="A text of your own, read as the run's corpus was; -: standard input.  "
            "[default: the run's validation text]"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Where to write the page.  [default: the run's folder]")
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            help="Characters to show, up to 20,000.  [default: as many as keep the page at a few MB]"
        ),
    ] = None,
    search: Annotated[
        int, typer.Option(min=0, max=10_000_000, help="Characters to search for units; 0 leaves it out.")
    ] = 65_536,
    kind: Annotated[
        str | None,
        typer.Option(
            help="code, prose, verse or mixed (all signals): the kind of text.  [default: detected]"
        ),
    ] = None,
    probe_units: Annotated[
        int,
        typer.Option(
            min=0,
            max=64,
            help="Units that a probe may use together for each signal; 0 leaves the probes out.",
        ),
    ] = 5,
    ablate: Annotated[
        bool,
        typer.Option(
            "--ablate",
            help="Measure what every unit is worth, not only those found (minutes for a large model).",
        ),
    ] = False,
    which: Checkpoint = "best",
    device: Device = "cpu",
    open_: Open = False,
    strict: Strict = False,
    set_: Set = [],  # noqa: B006
    json: JsonObject = False,
) -> None:
    """Inspect a trained model: a page that colours a text by any unit's activation, and the interpretable units."""
    resolved = settings(set_)
    if which not in ("best", "last"):
        raise UsageError(f"--checkpoint {which!r} is neither best nor last")
    from charpipe.api.inspect import inspect as inspect_run

    found = inspect_run(
        run,
        file,
        output=output,
        length=length,
        searched=search,
        which=which,
        device=device,
        strict=strict,
        kind=kind,
        probe_units=probe_units,
        ablate=ablate,
        resolved=resolved,
        report=_say,
    )
    if open_:
        open_page(found.page)
    if json:
        print_json(found.as_json())
    else:
        _show(found)


def _say(sentence: str) -> None:
    if sys.stderr.isatty():
        typer.echo(sentence, err=True)


def _show(found: Inspection) -> None:
    characters, bits = len(found.reading.text), found.reading.bits_per_char
    typer.echo(f"{found.run} on {found.source}: {characters:,} characters, {bits:.3f} bits each")
    for notice in found.notices:
        typer.echo(f"note: {notice}")
    if found.search is not None:
        _show_search(found.search)
    if found.ablations is not None:
        _show_ablations(found.ablations)
    typer.echo(f"page    {found.page}")
    if found.artifact is not None:
        typer.echo(f"MLflow  {found.artifact}, among the run's artifacts")


def _show_search(search: Search) -> None:
    if search.kind_was_given:
        typer.echo(
            f"signals of {'all kinds' if search.kind == 'mixed' else search.kind} were tried, as requested"
        )
    elif search.kind != "mixed":
        typer.echo(
            f"the text looks like {search.kind}: signals of {search.kind} were tried; others: --kind code, prose, "
            "verse or mixed"
        )
    rows = [_row(finding) for finding in search.findings if finding.best is not None]
    print_table(
        COLUMNS,
        rows,
        "no signal is frequent enough in these texts to search for its unit",
        DROPPED,
        whole=("unit",),
    )
    _show_probes(search)
    rare = [f"{finding.signal.name} ({finding.spans[0]}, {finding.spans[1]})" for finding in search.rare]
    if rare:
        typer.echo(f"too rare to say (times on): {'; '.join(rare)}")


def _show_probes(search: Search) -> None:
    from charpipe.inspection.formatting import unit_names
    from charpipe.inspection.search import shown

    rows = [
        [
            one.signal.name,
            one.best.unit.name,
            *(
                "" if score is None else f"{shown(one, score):.3f}"
                for score in (one.best.held_out, one.sparse.held_out, one.sparse.untrained)
            ),
            unit_names(one.sparse),
        ]
        for one in search.findings
        if one.best is not None and one.sparse is not None
    ]
    if rows:
        typer.echo("\nseveral units together (probes with an L1 penalty), scored on the held-out text:")
        print_table(
            PROBES, rows, "", ("untrained", "best unit"), whole=("units together, largest weight first",)
        )


def _show_ablations(ablations: Ablations) -> None:
    typer.echo(
        f"\nrise of the loss with a unit held at its mean, in nats per character (loss: {ablations.loss:.3f} over "
        f"{ablations.characters:,} characters; ± standard error over {ablations.segments} segments):"
    )
    if not ablations.within_step:
        typer.echo("note: the network's equations are not known, so units were held between its steps only")
    rows = [
        [
            row.unit.name,
            f"{row.held_at:.2f}",
            *(_rise(one) for one in (row.all, row.on, row.off)),
            row.signal.name if row.signal else "",
        ]
        for row in ablations.rows[:ABLATED]
    ]
    print_table(WORTH, rows, "", ("held at",), whole=("unit",))
    if len(ablations.rows) > ABLATED:
        typer.echo(f"the {ABLATED} largest of {len(ablations.rows):,}; all: --json")


def _rise(rise: Rise | None) -> str:
    return f"{rise.nats:+.4f} ± {rise.error:.4f}" if rise is not None and rise.characters else ""


def _row(finding: Finding) -> list[str]:
    from charpipe.inspection.search import metric, shown

    best = finding.best
    if best is None:
        return [finding.signal.name]
    scores = (best.choosing, best.held_out, finding.untrained, finding.shuffled)
    rates = "" if finding.hits is None else f"{finding.hits:.0%}/{finding.false_alarms:.0%}"
    return [
        finding.signal.name,
        f"{best.unit.name} {'falls' if best.sign < 0 else 'rises'}",
        metric(finding),
        *("" if value is None else f"{shown(finding, value):.3f}" for value in scores),
        rates,
        f"{finding.spans[0]:,}, {finding.spans[1]:,}",
        finding.verdict,
    ]
