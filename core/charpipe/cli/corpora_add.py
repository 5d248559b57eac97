"""`charpipe corpora add`: add a text to the project file, and say what it holds."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from charpipe.cli.arguments import JsonObject
from charpipe.cli.output import for_output, print_json, terminal_width
from charpipe.events import Event, Notice

if TYPE_CHECKING:
    from charpipe.projects.adding import AddedCorpus
    from charpipe.projects.contents import Contents
    from charpipe.projects.estimate import Estimate

INDENT = 15
NARROWEST = 20


def add(
    name: Annotated[str, typer.Argument(help="Its name: letters, digits, - and _.")],
    source: Annotated[
        str, typer.Argument(metavar="PATH|URL", help="A file, a folder, an archive, a glob or a URL.")
    ],
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Files to read, as '*.txt'; may be repeated.  [default: all]"),
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="What to train on: a pattern of files ('*.train.txt'), a size ('90000000 bytes'), a fraction.",
        ),
    ] = None,
    val: Annotated[str | None, typer.Option(metavar="SPLIT", help="What to validate on, likewise.")] = None,
    test: Annotated[str | None, typer.Option(metavar="SPLIT", help="What to test on, likewise.")] = None,
    json: JsonObject = False,
) -> None:
    """Add a text to pipelines.toml as a corpus, and show what it holds.

    Reads the text and measures how fast a training reads it here. If it cannot be read, the file stays as it is.
    """
    shares = {"train": train, "val": val, "test": test}
    split = {name: share for name, share in shares.items() if share is not None}
    add_and_show(name, source, include or [], split, json=json)


def add_and_show(
    name: str,
    source: str,
    include: Sequence[str] = (),
    split: Mapping[str, str] | None = None,
    *,
    json: bool = False,
) -> None:
    """Add a corpus, and print what was found."""
    if not json:
        typer.echo("reading the text", err=True)
    from charpipe.cli.signals import until_done
    from charpipe.projects.adding import add_corpus
    from charpipe.stages.stop import Stop

    stop = Stop()
    added = until_done(lambda: add_corpus(name, source, include, split, listen=_warn, stop=stop), stop, _warn)
    if json:
        print_json(_as_json(added))
        return
    for line in lines(added, terminal_width()):
        typer.echo(for_output(line))


def _warn(event: Event) -> None:
    """Print warnings, and notices that are not shown at the end anyway."""
    if isinstance(event, Notice) and event.level == "warning":
        typer.echo(f"charpipe: {event.message}", err=True)


def _as_json(added: AddedCorpus) -> dict[str, object]:
    return {**asdict(added), "file": str(added.file)}


def lines(added: AddedCorpus, columns: int | None) -> Iterator[str]:
    """What was found, as lines of at most `columns`."""
    yield f"added the corpus {added.name} to {added.file}"
    yield ""
    for key, value in (*_found(added.name, added.contents), *_speed(added.estimate)):
        yield from _wrapped(key, value, columns)
    if added.contents.splits["train"] < 2:
        return
    yield ""
    yield f"To train on it, type: charpipe run train-and-sample --corpus {added.name}"


def _found(name: str, contents: Contents) -> Iterator[tuple[str, str]]:
    from charpipe.stages.units import size

    yield "size", size(contents.bytes, "B")
    yield "documents", f"{contents.documents:,}"
    encodings = sorted(contents.encodings.items(), key=lambda one: -one[1])
    yield "encoding", ", ".join(f"{name} ({count:,})" for name, count in encodings)
    kinds = f", {contents.kinds:,} different ones" if contents.kinds is not None else ""
    yield "characters", f"{contents.characters:,}{kinds}"
    yield "vocabulary", f"{contents.tokens:,} tokens"
    about = "" if contents.given else "about "
    shares = ", ".join(f"{name} {count:,}" for name, count in contents.splits.items())
    yield "splits", f"{about}{shares} characters"
    for number, line in enumerate(contents.first_lines):
        yield "first lines" if number == 0 else "", line
    for number, note in enumerate(contents.notes):
        yield "notices" if number == 0 else "", note
    yield "rejected", f"{contents.rejections:,} file{'' if contents.rejections == 1 else 's'}"
    for path, reason in contents.rejected:
        yield "", f"{path}: {reason}"
    if contents.rejections > len(contents.rejected):
        yield "", f"and more; to see all, type: charpipe corpora show {name}"


def _speed(estimate: Estimate) -> Iterator[tuple[str, str]]:
    from charpipe.stages.units import duration, size

    if estimate.reason is not None:
        yield "training", f"its time was not measured: {estimate.reason}"
        return
    speed = size(round(estimate.characters_per_second))
    yield (
        "speed here",
        (
            f"about {speed} characters a second with {estimate.model}, measured over {estimate.updates} updates, with "
            "the machine as busy as it is now"
        ),
    )
    yield (
        "training",
        (
            f"about {duration(estimate.training_seconds)} by the settings, which is {_passes(estimate.passes)}; "
            f"one pass over the text takes about {duration(estimate.pass_seconds)}"
        ),
    )


def _passes(passes: float) -> str:
    return f"about {passes:,.1f} pass{'' if f'{passes:,.1f}' == '1.0' else 'es'}"


def _wrapped(key: str, value: str, columns: int | None) -> Iterator[str]:
    head = f"  {key:<{INDENT - 2}}"
    if columns is None:
        yield f"{head}{value}".rstrip()
        return
    parts = textwrap.wrap(value, max(NARROWEST, columns - INDENT), break_on_hyphens=False) or [""]
    for number, part in enumerate(parts):
        yield f"{head if number == 0 else ' ' * INDENT}{part}".rstrip()
