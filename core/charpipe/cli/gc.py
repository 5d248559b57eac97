"""`charpipe gc`: frees what no kept run, model or deployment refers to."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from charpipe.cli.arguments import JsonObject, Set
from charpipe.cli.environment import open_registry, open_workspace, settings
from charpipe.cli.output import print_json, print_table
from charpipe.config.load import Resolved
from charpipe.events import Event, Notice
from charpipe.store.backends import Backend
from charpipe.workspace import Workspace


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    set_: Set = [],  # noqa: B006
    json: JsonObject = False,
) -> None:
    """Remove old runs, results and temporary files that nothing refers to, by the rules of the [retention] table.

    With a shared store, also what no machine has used there for retention.keep_days.
    """
    from charpipe.retention.collection import collect
    from charpipe.stages.units import size

    resolved = settings(set_)
    config = resolved.config
    if config.store.url is not None and not dry_run:
        _push_unpushed(resolved)
    workspace = open_workspace()
    backend = _open_shared(resolved, workspace) if config.store.url is not None else None
    removed = collect(workspace, config.retention, dry_run=dry_run, tracking=config.tracking)
    if backend is not None:
        from charpipe.retention.shared_store import collect_shared

        removed += collect_shared(backend, config.retention, config.store.lease_seconds, dry_run=dry_run)
    total = sum(one.bytes for one in removed)
    if json:
        print_json({"dry_run": dry_run, "bytes": total, "removed": [vars(one) for one in removed]})
        return
    if dry_run:
        rows = [(one.path, one.kind, size(one.bytes, "B"), one.why) for one in removed]
        print_table(("path", "kind", "size", "why"), rows, "Nothing would be removed.")
    kinds = Counter(one.kind for one in removed)
    counted = ", ".join(f"{count:,} {kind}{'s' * (count > 1)}" for kind, count in kinds.items())
    if removed:
        typer.echo(f"{size(total, 'B')} {'would be freed' if dry_run else 'freed'}: {counted}")
    elif not dry_run:
        typer.echo("There is nothing to remove.")


def _open_shared(resolved: Resolved, workspace: Workspace) -> Backend:
    from charpipe.store.shared.connection import check_mounted

    backend = open_registry().open_store(resolved.config.store)
    check_mounted(backend, workspace.store)
    return backend


def _push_unpushed(resolved: Resolved) -> None:
    """Push to the shared store what earlier commands could not, before anything is removed here."""
    from charpipe.stages import Context

    def listen(event: Event) -> None:
        if isinstance(event, Notice):
            typer.echo(event.message, err=True)

    shared = Context(open_workspace(), resolved, open_registry(), emit=listen).store.shared
    assert shared is not None
    shared.open()
