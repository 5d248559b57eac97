"""`charpipe runs rename`, `note` and `tag`: what the user says of a run, here, in the shared store and in MLflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from charpipe.cli.environment import open_runs, open_workspace, print_notice, settings
from charpipe.cli.output import for_output
from charpipe.config.names import check_name, parse_tags, shown_tags
from charpipe.errors import UsageError, near_match
from charpipe.runs.annotations import Annotations, read_annotations
from charpipe.tracking import locate

LONGEST_NOTE = 4000
RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run: name, unique prefix, short name, `last`, `best:CORPUS`.")
]


def rename(
    run: RunArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its new name: letters, digits, - and _.")],
) -> None:
    """Give a run another name, which lists and MLflow show. Its first name stays valid."""
    checked = check_name(name, "run")
    found, _ = _change(run, lambda given: given.changed(name=checked))
    typer.echo(f"{found} is now called {checked}; its first name stays valid")


def note(
    run: RunArgument,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="The note.  [default: print the note]")
    ] = None,
    append: Annotated[bool, typer.Option("--append", help="Add a line to the note.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the note.")] = False,
) -> None:
    """Write a note on a run, or print it."""
    if remove and (text is not None or append):
        raise UsageError("--remove takes no text and no --append; nothing was changed")
    if append and text is None:
        raise UsageError("--append needs a text; nothing was changed")
    if text is None and not remove:
        given = read_annotations(open_runs().find(run).folder)
        typer.echo(for_output(given.note or "There is no note."))
        return
    found, _ = _change(run, lambda given: given.changed(note=_note(given.note, text or "", append)))
    typer.echo(f"{'removed the note on' if remove else 'noted on'} {found}")


def _note(before: str, text: str, append: bool) -> str:
    after = f"{before}\n{text}" if append and before else text
    if len(after) > LONGEST_NOTE:
        raise UsageError(
            f"a note has at most {LONGEST_NOTE:,} characters, this one {len(after):,}; nothing was changed"
        )
    return after


def tag(
    run: RunArgument,
    tags: Annotated[
        list[str] | None,
        typer.Argument(metavar="TAG...", help="WORD or KEY=VALUE.  [default: print the tags]"),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="KEY", help="Remove this tag; may be repeated.")
    ] = None,
) -> None:
    """Tag a run, or print its tags. `charpipe run ... --tag TAG` tags it at once."""
    added = parse_tags(tags or ())
    if not added and not remove:
        typer.echo(shown_tags(read_annotations(open_runs().find(run).folder).tags) or "There are no tags.")
        return

    def change(given: Annotations) -> Annotations:
        for key in remove or ():
            if key not in given.tags:
                raise UsageError(f"the run has no tag {key!r}{near_match(key, given.tags)}")
        kept = {key: value for key, value in given.tags.items() if key not in (remove or ())}
        return given.changed(tags=kept | added)

    found, given = _change(run, change)
    typer.echo(f"{found}: {shown_tags(given.tags) or 'no tags'}")


def _change(run: str, change: Callable[[Annotations], Annotations]) -> tuple[str, Annotations]:
    """Change what is said of a run, and publish it; returns the run's first name, and the result."""
    library, tracking = open_runs(), settings().config.tracking
    found = library.find(run)
    given = change(read_annotations(found.folder))
    library.annotate(found, given)
    if tracking.enabled:
        from charpipe.tracking.annotations import publish_annotations

        publish_annotations(locate(tracking, open_workspace().mlflow), found, print_notice)
    return found.name, given
