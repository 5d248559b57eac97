"""The tables that `charpipe inspect` prints: units found, probes of several units, what units are worth, passages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from charpipe.cli.output import print_table

if TYPE_CHECKING:
    from charpipe.api.passages import Match, PassageMatches
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
PASSAGES = ("score", "units on", "split", "at", "passage")
UNITS = 12
"""Units of a passage that are named."""
SHOWN = 30
"""Characters shown before and after a passage."""
DROPPED = ("shuffled", "chosen at", "times on", "untrained", "in/out", "score")
"""Columns that a narrow terminal goes without, the first of them first."""


def show_search(search: Search) -> None:
    """The units found, with scores and controls, and the probes of several units."""
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
    from charpipe.inspection.findings import shown
    from charpipe.inspection.formatting import unit_names

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


def show_ablations(ablations: Ablations) -> None:
    """What units are worth: those with the largest rise of the loss."""
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
    from charpipe.inspection.findings import metric, shown

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


def show_passages(found: PassageMatches) -> None:
    """The units that are on throughout the passage, and the passages in which they are on too."""
    units = [f"{unit.name} {'falls' if sign < 0 else 'rises'}" for unit, sign in found.units]
    more = f" and {len(units) - UNITS:,} more" if len(units) > UNITS else ""
    typer.echo(
        f"{found.run} on {found.source}, characters {found.first:,} to {found.last:,}: {visible(found.passage)}\n"
        f"on throughout: {', '.join(units[:UNITS])}{more}"
    )
    rows = [_passage_row(one, len(units)) for one in found.matches]
    print_table(
        PASSAGES,
        rows,
        "no other passage has one of these units on throughout",
        ("at", "split"),
        whole=("passage",),
    )
    part = "" if found.searched >= found.tokens else " in evenly spaced segments; all: --full"
    typer.echo(f"searched {found.searched:,} of {found.tokens:,} tokens{part}")


def _passage_row(one: Match, units: int) -> list[str]:
    text = f"{visible(one.before[-SHOWN:])}[{visible(one.passage)}]{visible(one.after[:SHOWN])}"
    return [f"{one.score:.3f}", f"{one.through} of {units}", one.split, f"{one.place:,}", text]


def visible(text: str) -> str:
    """A text on one line, with marks for line breaks and tabs, and without control characters."""
    marked = "".join({"\n": "⏎", "\t": "⇥", "\r": "␍"}.get(character, character) for character in text)
    return "".join(one if one.isprintable() else f"‹U+{ord(one):04X}›" for one in marked)
