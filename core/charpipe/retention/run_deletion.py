"""Delete runs that the user names: here, in the shared store, and in MLflow. Never a champion unless it is forced."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from charpipe.champions.records import corpora
from charpipe.champions.state import read_state
from charpipe.config.settings.tracking import TrackingConfig
from charpipe.errors import CharpipeError, RunError
from charpipe.retention.file_facts import freed_bytes
from charpipe.retention.removal import PREFIX
from charpipe.runs import Run, readable_runs
from charpipe.runs.library import RunLibrary
from charpipe.tracking import locate
from charpipe.tracking.deletion import delete_run


@dataclass(frozen=True)
class DeletedRun:
    """A deleted run, and what was freed, in bytes: here with the workspace's own MLflow, and in the shared store.
    `mlflow` says where it was deleted in MLflow, if it was there."""

    run: str
    bytes: int
    shared_bytes: int = 0
    mlflow: str | None = None


def delete_runs(
    library: RunLibrary,
    runs: Sequence[Run],
    tracking: TrackingConfig,
    *,
    force: bool = False,
    local: bool = False,
    dry_run: bool = False,
    report: Callable[[DeletedRun], None] = lambda deleted: None,
) -> list[DeletedRun]:
    """Delete these runs with everything in their folders; with `local` only what this workspace has.

    All are checked before the first is deleted. Raises RunError for one that is being trained, and without `force`
    for one that is a champion or from which an unfinished run starts. The folder comes last, so that an interrupted
    deletion can be repeated.
    """
    chosen = list({run.name: run for run in runs}.values())
    with ExitStack() as locks:
        for run in chosen:
            _lock(locks, run)
        if not force:
            _check_needed(library, chosen)
        deleted = []
        for run in chosen:
            one = _delete(library, run, tracking, local=local, dry_run=dry_run)
            report(one)
            deleted.append(one)
    return deleted


def _lock(locks: ExitStack, run: Run) -> None:
    if run.is_busy():
        raise RunError(
            f"{run.name} is being trained, so it is not deleted, and nothing was; stop it first, or wait until it ends"
        )
    locks.enter_context(run.lock())


def _check_needed(library: RunLibrary, runs: Sequence[Run]) -> None:
    """Raise RunError for a run that is needed. The champions' own models are kept apart from their runs."""
    library.refresh_champions()
    names = {run.name for run in runs}
    for corpus in corpora(library.workspace):
        state = read_state(library.workspace, corpus)
        if state is None:
            continue
        for alias, version in (("champion", state.champion), ("previous champion", state.previous)):
            if version is not None and version.run in names:
                raise RunError(
                    f"{version.run} made the {alias} of {corpus}; nothing was deleted; to delete the run and keep the "
                    "champion's model, add --force"
                )
    for other in readable_runs(library.workspace.runs):
        start = _start(other)
        if other.name not in names and start in names and other.status.state not in ("finished", "failed"):
            raise RunError(
                f"{other.name}, which is not finished, starts from {start}; nothing was deleted; to delete it all the "
                "same, add --force"
            )


def _start(run: Run) -> str:
    start = run.info.facts.get("start")
    parts = str(start.get("path", "")).split("/") if isinstance(start, dict) else []
    return parts[1] if len(parts) > 1 and parts[0] == "runs" else ""


def _delete(
    library: RunLibrary, run: Run, tracking: TrackingConfig, *, local: bool, dry_run: bool
) -> DeletedRun:
    freed, shared_bytes, where = freed_bytes(run.folder), 0, None
    if not local:
        if library.shared is not None:  # first: whether another machine trains the run shows only here
            shared_bytes = library.shared.delete(run, dry_run=dry_run)
        if tracking.enabled:
            where, in_mlflow = _delete_in_mlflow(library, run, tracking, dry_run=dry_run)
            freed += in_mlflow
    if not dry_run:
        _remove(run)
    return DeletedRun(run.name, freed, shared_bytes, where)


def _delete_in_mlflow(
    library: RunLibrary, run: Run, tracking: TrackingConfig, *, dry_run: bool
) -> tuple[str | None, int]:
    location = locate(tracking, library.workspace.mlflow)
    try:
        freed = delete_run(location, run, dry_run=dry_run)
    except CharpipeError as error:
        raise RunError(
            f"{run.name} was not deleted: {str(error).partition(';')[0]}; to delete it in this workspace alone, type: "
            f"charpipe runs delete {run.name} --local"
        ) from error
    return (None, 0) if freed is None else (location.shown, freed)


def _remove(run: Run) -> None:
    aside = run.folder.with_name(f"{PREFIX}{run.name}")
    try:
        shutil.rmtree(aside, ignore_errors=True)  # left by a killed deletion
        run.folder.rename(aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise RunError(
            f"{error.filename or run.folder} cannot be deleted: {error.strerror}; what is left of it goes with: "
            "charpipe gc"
        ) from error
