"""Garbage collection of unreferenced files, safe while other processes work in the workspace.

Files used within the grace time are kept. A folder is renamed before it is deleted, so that no process sees a partly
deleted one. An object that comes into use meanwhile is restored: `Store.find` touches its record before reading the
object, and the collection checks the record again after the rename.
"""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from charpipe.champions.promotion import deciding
from charpipe.champions.records import corpora, versions
from charpipe.champions.state import champion_folder, read_version
from charpipe.config.settings.retention import RetentionConfig
from charpipe.errors import CharpipeError, RunError
from charpipe.retention.references import References, kept_versions, references
from charpipe.runs import Run, list_runs
from charpipe.store import Store
from charpipe.store.atomic import publish_folder
from charpipe.tracking import TrackingConfig, locate
from charpipe.tracking.deletion import forget_models
from charpipe.workspace import Workspace

HOUR = 3600.0
LEFT = ".going-"
"""Prefix of a folder that is being removed; one left by a killed process is removed by the next collection."""


@dataclass(frozen=True)
class Removed:
    """A removed item, or one that a dry run would remove: kind, path in the workspace, bytes and reason."""

    kind: str
    path: str
    bytes: int
    why: str


def collect(
    workspace: Workspace,
    policy: RetentionConfig,
    *,
    dry_run: bool = False,
    tracking: TrackingConfig | None = None,
    tell: Callable[[Removed], None] = lambda removed: None,
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
        for one in _Collection(workspace, policy, kept, dry_run, tracking).everything():
            tell(one)
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
        kept: References,
        dry_run: bool,
        tracking: TrackingConfig | None,
    ) -> None:
        self._workspace, self._policy, self._kept, self._dry_run = workspace, policy, kept, dry_run
        self._tracking = tracking
        self._before = time.time() - policy.grace_hours * HOUR
        self._store = Store(workspace.store)

    def everything(self) -> Iterator[Removed]:
        """Remove all that is unreferenced. Runs come first, because their removal makes objects unreferenced."""
        yield from self._runs()
        yield from self._checkpoints()
        yield from self._versions()
        yield from self._objects()
        yield from self._leftovers()

    def _runs(self) -> Iterator[Removed]:
        for run in list_runs(self._workspace.runs):
            needed = run.name in self._kept.runs or self._is_needed(run.folder)
            if needed or not self._is_old(_newest(run.folder)) or not _is_readable(run):
                continue
            with suppress(RunError), run.lock():  # a run that is being trained is kept
                try:
                    freed = self._forget(run)
                except CharpipeError:
                    continue
                for one in self._remove("run", run.folder, "beyond the runs and days that are kept"):
                    yield replace(one, bytes=one.bytes + freed)

    def _forget(self, run: Run) -> int:
        """Delete the run's models from the workspace's own MLflow; returns the bytes freed."""
        if self._dry_run or self._tracking is None or not self._tracking.enabled:
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
                        if folder.name not in needed and self._is_old(_newest(folder)):
                            yield from self._remove("checkpoint", folder, "neither the best nor the last")

    def _versions(self) -> Iterator[Removed]:
        for corpus in corpora(self._workspace):
            with suppress(RunError), deciding(self._workspace, corpus):
                for version in kept_versions(self._workspace, corpus, self._policy):
                    self._kept.keep(version)  # again: a rollback may have happened since
                known = {version.version for version in versions(self._workspace, corpus)}
                for folder in sorted((champion_folder(self._workspace, corpus) / "versions").glob("[0-9]*")):
                    number = int(folder.name) if folder.name.isdigit() else 0
                    why = self._why_not(corpus, number, folder, known)
                    if why is not None and self._is_old(_newest(folder)):
                        yield from self._remove("model", folder, why)

    def _why_not(self, corpus: str, number: int, folder: Path, known: set[int]) -> str | None:
        """Why a version is removed; None if it is kept, or if it may have been champion."""
        if (corpus, number) in self._kept.versions:
            return None
        if number in known:
            return "beyond the models that are kept"
        # an intact version without a line in the audit is kept: the audit may be damaged
        return "never became champion" if read_version(folder) is None else None

    def _objects(self) -> Iterator[Removed]:
        """Remove unreferenced objects with their action records, and records whose object is gone."""
        records = self._store.records()
        by_object: dict[str, list[Path]] = defaultdict(list)
        newest: dict[tuple[str, str], tuple[str, str]] = {}
        for path, record in records:
            by_object[record["object"]].append(path)
            key = (record["action"]["stage"], record["subject"])
            newest[key] = max(newest.get(key, ("", "")), (str(record["made"]), record["object"]))
        needed = self._kept.objects | {digest for _, digest in newest.values()}
        for folder in sorted((self._store.root / "objects").glob("[0-9a-f]*")):
            if folder.name not in needed:
                yield from self._object(folder, by_object.get(folder.name, []))
        for path, record in records:
            orphaned = path.exists() and not self._store.object(record["object"]).is_dir()
            if orphaned and self._is_old(_time(path)):
                yield from self._remove("record", path, "its result is gone")

    def _object(self, folder: Path, records: list[Path]) -> Iterator[Removed]:
        def used() -> float:
            return max([_time(folder / "manifest.json"), *(_time(path) for path in records)])

        if not self._is_old(used()):
            return
        size, aside = _bytes(folder), self._store.root / "making" / f"{LEFT}{folder.name}"
        if not self._dry_run:
            shutil.rmtree(aside, ignore_errors=True)  # left by a killed removal
            aside.parent.mkdir(exist_ok=True)
            folder.rename(aside)
            if not self._is_old(used()):  # in use since, and possibly built again
                publish_folder(aside, folder)
                return
            for path in records:
                path.unlink(missing_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
        yield Removed(
            "object", self._workspace.relative(folder), size, "no kept run or model was made from it"
        )

    def _leftovers(self) -> Iterator[Removed]:
        """Remove what killed processes left: incomplete folders, temporary files, locks that nobody holds."""
        root = self._workspace.root
        half_made = [
            *root.glob("store/making/*"),
            *root.glob("store/making/.*"),
            *root.glob(f"runs/{LEFT}*"),
            *root.glob("runs/*/checkpoints/.saving-*"),
            *root.glob("runs/*/checkpoints/.going-*"),
            *root.glob("champions/*/versions/.*"),
            *(path for path in root.glob("runs/*") if path.is_dir() and not (path / "run.json").exists()),
        ]
        temporary = [
            path
            for pattern in (
                "store/actions/.*",
                "store/lineage/.*",
                "runs/*/.*",
                "runs/*/results/.*",
                "champions/*/.*",
            )
            for path in root.glob(pattern)
        ]
        for path in dict.fromkeys([*half_made, *temporary]):
            if self._is_old(_newest(path)):
                yield from self._remove("leftover", path, "left by a process that was killed")
        for path in root.glob("store/locks/*.lock"):
            if self._is_old(_time(path)) and not (root / "store" / "actions" / f"{path.stem}.json").exists():
                yield from self._lock(path)

    def _lock(self, path: Path) -> Iterator[Removed]:
        lock = FileLock(path, is_singleton=False)
        with suppress(Timeout), lock.acquire(timeout=0):
            yield from self._remove("leftover", path, "an unused lock")

    def _remove(self, kind: str, path: Path, why: str) -> Iterator[Removed]:
        if self._is_needed(path):
            return
        size = _bytes(path)
        if not self._dry_run:
            try:
                if path.is_dir() and not path.is_symlink():
                    aside = path if path.name.startswith(LEFT) else path.with_name(f"{LEFT}{path.name}")
                    path.rename(aside)
                    shutil.rmtree(aside)
                else:
                    path.unlink(missing_ok=True)
            except OSError:
                return  # kept; the next collection tries again
        yield Removed(kind, path.relative_to(self._workspace.root).as_posix(), size, why)

    def _is_needed(self, path: Path) -> bool:
        """Whether `path` contains a checkpoint that an unfinished run starts from."""
        return any((self._workspace.root / start).is_relative_to(path) for start in self._kept.starts)

    def _is_old(self, moment: float) -> bool:
        return moment < self._before


def _is_readable(run: Run) -> bool:
    """Whether the run's description can be read. A run with a damaged one is kept for the user to inspect."""
    try:
        return bool(run.info.name)
    except RunError:
        return False


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        yield from (one for one in path.rglob("*") if not one.is_dir())
    else:
        yield path


def _bytes(path: Path) -> int:
    """Bytes that removing `path` frees; files with other hard links free nothing."""
    total = 0
    for file in _files(path):
        with suppress(OSError):
            status = file.lstat()
            total += status.st_size if status.st_nlink == 1 else 0
    return total


def _newest(path: Path) -> float:
    """The latest modification time of any file in `path`, ignoring locks."""
    times = [_time(file) for file in _files(path) if file.suffix not in (".lock", ".holder")]
    return max(times, default=_time(path))


def _time(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
