"""The context that the stages of one command share."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from charpipe.config import Config, Resolved, resolve_corpus
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.errors import InterruptedRun, UsageError, near_match
from charpipe.events import Event, Listener, Notice, StageProgress
from charpipe.parallel import ParallelMap
from charpipe.parallel.processes import local_processes
from charpipe.plugins.registry import Registry
from charpipe.runs import Run
from charpipe.runs.library import RunLibrary, open_library
from charpipe.stages.executors import DIRECT, Executor
from charpipe.stages.publication import Publishing
from charpipe.stages.sharing import ContextListener, Sharing
from charpipe.stages.stage import registered
from charpipe.stages.stop import Stop
from charpipe.store import Store
from charpipe.training.group import ALONE, Group
from charpipe.workspace import Workspace

if TYPE_CHECKING:
    from charpipe.champions.shared import SharedChampions
    from charpipe.store.backends import Backend


def ignore(event: Event) -> None:
    """A listener that does nothing."""


class OpenMap(Protocol):
    """Opens a map over parts of a corpus."""

    def __call__(self, processes: int, *, reads: Path | None = None) -> AbstractContextManager[ParallelMap]:
        """A map for that many processes.

        `reads`: a folder that its calls read and that may be outside the workspace.
        """
        ...


class Located(Protocol):
    """Something in the workspace, with its path relative to the workspace's root."""

    @property
    def path(self) -> str: ...


@dataclass(frozen=True)
class Context:
    """What the stages of one command share.

    `force` names stages to run again; `resume` is a run whose recorded inputs are used; with `dry_run` the first
    stage with work to do raises `WouldRun`.
    """

    workspace: Workspace
    resolved: Resolved
    registry: Registry
    emit: Listener = ignore
    stop: Stop = field(default_factory=Stop)
    force: frozenset[str] = frozenset()
    resume: Run | None = None
    dry_run: bool = False
    executor: Executor = DIRECT
    parallel_map: OpenMap = local_processes
    publishing: Publishing = field(default_factory=Publishing)
    sharing: Sharing = field(default_factory=Sharing)
    group: Group = ALONE
    """The workers that train together; this process is their rank 0."""
    flow_run: Mapping[str, Any] = field(default_factory=dict)
    """The Prefect flow run of this command, as stored with its runs; empty without Prefect."""
    corpora: Mapping[str, tuple[str, CorpusConfig]] = field(default_factory=dict)
    """Corpora as the command that started this process has resolved them, by what was typed."""

    def __post_init__(self) -> None:
        known = [name for name, stage in registered().items() if stage.forcible]
        for name in self.force:
            if name not in known:
                raise UsageError(f"there is no stage {name!r} to force{near_match(name, known)}")

    @property
    def config(self) -> Config:
        return self.resolved.config

    @property
    def store(self) -> Store:
        """The local store, and behind it the shared one, if `[store]` names one."""
        root, backend = self.workspace.store, self.shared
        if backend is None:
            return Store(root)
        listener = ContextListener(self.notice, self._transferred)
        return Store(root, self.sharing.store(backend, self.config.store.lease_seconds, root, listener))

    @property
    def shared(self) -> Backend | None:
        """The backend of the shared store; None if `[store]` names none."""
        return self.sharing.backend(self.config.store, self.registry)

    @property
    def runs(self) -> RunLibrary:
        """The runs of the workspace and of the shared store."""
        waiting = functools.partial(self.check_stop, "train")
        return open_library(self.workspace, self.store.shared, self.emit, waiting)

    @property
    def champions(self) -> SharedChampions | None:
        """The champions of the shared store; None if `[store]` names none."""
        return self.runs.champions

    def _transferred(self, stage: str, done: int, total: int) -> None:
        self.check_stop(stage)
        self.emit(StageProgress(stage, done, total))

    def resuming(self, run: Run | None) -> Context:
        """The same context, resuming `run`."""
        return replace(self, resume=run)

    def with_executor(self, executor: Executor) -> Context:
        """The same context, with stages run by `executor`."""
        return replace(self, executor=executor)

    def corpus(self, wanted: str) -> tuple[str, CorpusConfig]:
        """The name and settings of a corpus; see `charpipe.config.resolve_corpus`."""
        known = self.corpora.get(wanted)
        return known or resolve_corpus(self.config, wanted, self.workspace.root, self.resolved.project_file)

    def path(self, made: Located) -> Path:
        """Where the files of a stage's result are."""
        return self.workspace.root / made.path

    def check_stop(self, stage: str) -> None:
        """Raise InterruptedRun if a stop was requested; for stages that save nothing before they end."""
        if self.stop.event.is_set():
            raise InterruptedRun(
                f"stopped while it worked on {stage}; the stages before it are kept; type the same command again",
                self.stop.signal,
            )

    def notice(self, message: str, level: str = "info") -> None:
        """Send the listener a notice for the user."""
        self.emit(Notice(message, level))
