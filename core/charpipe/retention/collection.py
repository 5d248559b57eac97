"""Garbage collection of unreferenced files, safe while other processes work in the workspace.

Files used within the grace time are kept. A folder is renamed before it is deleted, so that no process sees a partly
deleted one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from charpipe.champions.promotion import deciding
from charpipe.champions.records import corpora, versions
from charpipe.champions.state import champion_folder, read_version
from charpipe.config.settings.retention import RetentionConfig
from charpipe.errors import CharpipeError, RunError
from charpipe.retention.file_facts import newest_time
from charpipe.retention.leftovers import remove_leftovers
from charpipe.retention.references import kept_versions, references
from charpipe.retention.removal import Removed, Remover
from charpipe.retention.stored_objects import remove_objects
from charpipe.runs import Run, list_runs
from charpipe.tracking import TrackingConfig, locate
from charpipe.tracking.deletion import forget_models
from charpipe.workspace import Workspace


def collect(
    workspace: Workspace,
    policy: RetentionConfig,
    *,
    dry_run: bool = False,
    tracking: TrackingConfig | None = None,
    report: Callable[[Removed], None] = lambda removed: None,
) -> list[Removed]:
    """Remove what no kept run, model or deployment refers to; with `dry_run` only report it.

    With `tracking`, the models of a removed run are also deleted from the workspace's own MLflow; if that fails, the
    run is kept until the next collection.
    Raises CharpipeError, before removing anything, if a champion's record cannot be read or another process is
    collecting.
    """
    removed = []
    lock = _alone(workspace)
    try:
        try:
            kept = references(workspace, policy)
        except RunError as error:
            raise RunError(f"{error}; nothing was removed") from error
        for one in _Collection(
            workspace, policy, Remover(workspace, policy, kept, dry_run=dry_run), tracking
        ).everything():
            report(one)
            removed.append(one)
    finally:
        lock.release()
    return removed


def _alone(workspace: Workspace) -> FileLock:
    lock = FileLock(workspace.store / "gc.lock", is_singleton=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CharpipeError("another process is collecting in this workspace; wait for it") from error
    return lock


class _Collection:
    """One collection pass over the workspace."""

    def __init__(
        self,
        workspace: Workspace,
        policy: RetentionConfig,
        remover: Remover,
        tracking: TrackingConfig | None,
    ) -> None:
        self._workspace, self._policy, self._remover = workspace, policy, remover
        self._kept, self._tracking = remover.kept, tracking

    def everything(self) -> Iterator[Removed]:
        """Remove all that is unreferenced. Runs come first, because their removal makes objects unreferenced."""
        yield from self._runs()
        yield from self._checkpoints()
        yield from self._versions()
        yield from remove_objects(self._remover)
        yield from remove_leftovers(self._remover)

    def _runs(self) -> Iterator[Removed]:
        for run in list_runs(self._workspace.runs):
            needed = run.name in self._kept.runs or self._remover.is_needed(run.folder)
            if needed or not self._remover.is_old(newest_time(run.folder)) or not _is_readable(run):
                continue
            with suppress(RunError), run.lock():  # a run that is being trained is kept
                try:
                    freed = self._forget(run)
                except CharpipeError:
                    continue
                for one in self._remover.remove("run", run.folder, "beyond the runs and days that are kept"):
                    yield replace(one, bytes=one.bytes + freed)

    def _forget(self, run: Run) -> int:
        """Delete the run's models from the workspace's own MLflow; returns the bytes freed."""
        if self._remover.dry_run or self._tracking is None or not self._tracking.enabled:
            return 0
        return forget_models(locate(self._tracking, self._workspace.mlflow), run.name)

    def _checkpoints(self) -> Iterator[Removed]:
        for name in self._kept.runs:
            run = Run(self._workspace.runs / name)
            with suppress(RunError):
                if run.status.state != "finished":
                    continue
                with run.lock():
                    needed = {
                        Path(str(entry["path"])).name for entry in (run.status.best, run.status.last) if entry
                    }
                    for folder in run.checkpoints.glob("step-*") if needed else ():
                        if folder.name not in needed and self._remover.is_old(newest_time(folder)):
                            yield from self._remover.remove(
                                "checkpoint", folder, "neither the best nor the last"
                            )

    def _versions(self) -> Iterator[Removed]:
        for corpus in corpora(self._workspace):
            with suppress(RunError), deciding(self._workspace, corpus):
                for version in kept_versions(self._workspace, corpus, self._policy):
                    self._kept.keep(version)  # again: a rollback may have happened since
                known = {version.version for version in versions(self._workspace, corpus)}
                for folder in sorted((champion_folder(self._workspace, corpus) / "versions").glob("[0-9]*")):
                    number = int(folder.name) if folder.name.isdigit() else 0
                    why = self._why_not(corpus, number, folder, known)
                    if why is not None and self._remover.is_old(newest_time(folder)):
                        yield from self._remover.remove("model", folder, why)

    def _why_not(self, corpus: str, number: int, folder: Path, known: set[int]) -> str | None:
        """Why a version is removed; None if it is kept, or if it may have been champion."""
        if (corpus, number) in self._kept.versions:
            return None
        if number in known:
            return "beyond the models that are kept"
        # an intact version without a line in the audit is kept: the audit may be damaged
        return "never became champion" if read_version(folder) is None else None


def _is_readable(run: Run) -> bool:
    """Whether the run's description can be read. A run with a damaged one is kept for the user to inspect."""
    try:
        return bool(run.info.name)
    except RunError:
        return False
