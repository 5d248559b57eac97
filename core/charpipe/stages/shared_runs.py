"""Bring the shared store up to date with the runs of this workspace, between stages."""

from __future__ import annotations

from charpipe.runs import Run, list_runs
from charpipe.stages.context import Context


def push_missing(context: Context, name: str) -> None:
    """Push what the store lacks of a finished run, and of others that were trained here while it did not answer."""
    shared = context.runs.shared
    if shared is None or shared.store.is_lost:
        return
    run = Run(context.workspace.runs / name)
    runs = {one.name: one for one in shared.pending(list_runs(context.workspace.runs))}
    if shared.is_only_here(run):
        runs[name] = run
    for one in runs.values():
        push(context, one)


def push_results(context: Context, run: Run) -> None:
    """Push new scores or samples of a run, if the shared store has the run."""
    shared = context.runs.shared
    if shared is not None and context.publishing.has_changed(run.name):
        push(context, run)


def push(context: Context, run: Run) -> None:
    """Push what the store lacks of a run; if it does not answer, a later command does."""
    shared = context.runs.shared
    if shared is None:
        return
    if not shared.guarded(lambda: shared.push(run), False):
        shared.mark_incomplete(run)
