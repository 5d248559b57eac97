"""`charpipe inspect`: what a model's units do while it reads, as a page, and those that a person can interpret."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from charpipe.cli.arguments import Checkpoint, Device, JsonObject, ModelName, Set, Strict
from charpipe.cli.browser import Open, open_page
from charpipe.cli.environment import settings
from charpipe.cli.inspection_tables import show_ablations, show_passages, show_search
from charpipe.cli.output import print_json
from charpipe.errors import UsageError

if TYPE_CHECKING:
    from charpipe.api.inspect import Inspection
    from charpipe.config.load import Resolved


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
    passage: Annotated[
        str | None,
        typer.Option(
            metavar="START:END",
            help="Find passages of the corpus in which the same units are on as in these characters of the text, "
            "counted as on the page; no page is written.",
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="As --passage, for the first place where TEXT stands, or TEXT by itself."
        ),
    ] = None,
    units: Annotated[
        str | None,
        typer.Option(
            metavar="UNIT,...",
            help="Compare these units, layer.unit or state.layer.unit.  [default: all that are on throughout]",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="How far a unit is from its median where it is on, as a share of the way to its largest or smallest "
            "value.  [default: 0.5]"
        ),
    ] = None,
    matches: Annotated[
        int | None, typer.Option(help="Passages to print, up to 1,000.  [default: 10]")
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full", help="Look for passages in all of a large corpus, not in evenly spaced segments."
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
    asked = {"--units": units, "--threshold": threshold, "--matches": matches, "--full": full or None}
    if passage is not None or pattern is not None:
        left_out = {
            "--output": output,
            "--open": open_ or None,
            "--kind": kind,
            "--ablate": ablate or None,
        }
        _refuse(left_out, "is for the page, and --passage and --pattern write none")
        _print_passages(run, file, passage, pattern, asked, length, which, device, strict, resolved, json)
        return
    _refuse(asked, "is for --passage and --pattern, and neither is given")
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
        show_search(found.search)
    if found.ablations is not None:
        show_ablations(found.ablations)
    typer.echo(f"page    {found.page}")
    if found.artifact is not None:
        typer.echo(f"MLflow  {found.artifact}, among the run's artifacts")


def _refuse(options: Mapping[str, object], why: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"{name} {why}; leave it out")


def _print_passages(
    run: str,
    file: str | None,
    passage: str | None,
    pattern: str | None,
    asked: Mapping[str, Any],
    length: int | None,
    which: str,
    device: str,
    strict: bool,
    resolved: Resolved,
    json: bool,
) -> None:
    from charpipe.api.passages import find_passages
    from charpipe.inspection.patterns import THRESHOLD

    found = find_passages(
        run,
        file,
        passage=None if passage is None else _range(passage),
        pattern=pattern,
        units=[one for one in (asked["--units"] or "").split(",") if one.strip()],
        threshold=THRESHOLD if asked["--threshold"] is None else asked["--threshold"],
        matches=10 if asked["--matches"] is None else asked["--matches"],
        full=bool(asked["--full"]),
        length=length,
        which=which,
        device=device,
        strict=strict,
        resolved=resolved,
        report=_say,
    )
    if json:
        print_json(found.as_json())
    else:
        show_passages(found)


def _range(text: str) -> tuple[int, int]:
    """`12:40` as the first and the last character."""
    first, _, last = text.partition(":")
    if not (first.strip().isdecimal() and last.strip().isdecimal()):
        raise UsageError(f"--passage {text!r} is not of the form START:END, such as 120:160")
    return int(first), int(last)
