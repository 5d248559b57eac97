"""What every stage of one command shares: the workspace, the settings, the plugins, someone to tell, a way to stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charpipe.config import Config, Resolved, resolve_corpus
from charpipe.corpus.settings import CorpusConfig
from charpipe.errors import InterruptedRun, StoreError, UsageError, near_match
from charpipe.events import Event, Listener, Notice, StageFinished, StageStarted
from charpipe.registry import Registry
from charpipe.runs import Run
from charpipe.store import Action, Store
from charpipe.store.manifest import read_manifest
from charpipe.store.store import Make
from charpipe.workspace import Workspace

STAGES = ("ingest", "vocabulary", "encode", "train", "evaluate", "sample")
FORCIBLE = (*STAGES, "promote")


def ignore(event: Event) -> None:
    """The listener that does nothing."""


@dataclass
class Stop:
    """A wish to stop, from a signal or from elsewhere; training looks at it between two steps."""

    event: threading.Event = field(default_factory=threading.Event)
    signal: int = 2

    def request(self, signal: int) -> None:
        """Ask for a stop, because of this signal."""
        self.signal = signal
        self.event.set()


class WouldRun(Exception):  # noqa: N818  not an error
    """A dry run has come to a stage that is not done yet."""


@dataclass(frozen=True)
class Made:
    """What a data stage left in the store: `path` relative to the workspace, `facts` of its manifest,
    `inputs` the content digests of what it was made from."""

    stage: str
    digest: str
    path: str
    facts: Mapping[str, Any]
    reused: bool
    why: str
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Session:
    """One command's world.

    `force` names stages to do anew; `resume` is a run whose recorded inputs are used; with `dry_run` the first
    stage that would have to work raises `WouldRun`.
    """

    workspace: Workspace
    resolved: Resolved
    registry: Registry
    emit: Listener = ignore
    stop: Stop = field(default_factory=Stop)
    force: frozenset[str] = frozenset()
    resume: Run | None = None
    dry_run: bool = False
    fresh: set[str] = field(default_factory=set)
    """Runs that got scores or samples MLflow has not seen yet."""
    untracked: set[str] = field(default_factory=set)
    """Runs for which MLflow did not answer: it is not asked again in this command."""

    def __post_init__(self) -> None:
        for stage in self.force:
            if stage not in FORCIBLE:
                raise UsageError(f"there is no stage {stage!r} to force{near_match(stage, FORCIBLE)}")

    @property
    def config(self) -> Config:
        return self.resolved.config

    @property
    def store(self) -> Store:
        return Store(self.workspace.store)

    def corpus(self, wanted: str) -> tuple[str, CorpusConfig]:
        """The name and settings of a corpus; see `charpipe.config.resolve_corpus`."""
        return resolve_corpus(self.config, wanted, self.workspace.root, self.resolved.project_file)

    def path(self, made: Made) -> Path:
        """Where the files of a stage's result lie."""
        return self.workspace.root / made.path

    def check_stop(self, stage: str) -> None:
        """Raise InterruptedRun if someone wishes to stop while a data stage works."""
        if self.stop.event.is_set():
            raise InterruptedRun(
                f"stopped while it worked on {stage}; what was done before is kept: type the same command again",
                self.stop.signal,
            )

    def notice(self, message: str, level: str = "info") -> None:
        """Tell the listener something that a person should know."""
        self.emit(Notice(message, level))

    def build(
        self, action: Action, make: Make, subject: str, summary: Callable[[Mapping[str, Any]], str]
    ) -> Made:
        """Run a data stage through the store, telling the listener; see `Store.build`."""
        stage, started = action.stage, time.monotonic()
        force = stage in self.force
        if self.dry_run and (force or self.store.find(action) is None):
            why = "forced" if force else self.store.why(action, subject)
            raise WouldRun(f"{stage}: would run ({why}), and all after it")
        built = self.store.build(
            action,
            make,
            subject,
            force=force,
            on_wait=lambda holder: self.notice(f"{stage}: waiting for {holder}"),
            while_waiting=lambda: self.check_stop(stage),
            on_start=lambda why: self.emit(StageStarted(stage, why)),
        )
        seconds = time.monotonic() - started
        self.emit(
            StageFinished(stage, summary(built.facts), seconds, skipped=built.reused, facts=built.facts)
        )
        path = self.workspace.relative(built.path)
        return Made(stage, built.digest, path, built.facts, built.reused, built.why, dict(action.inputs))

    def skip(self, made: Made, summary: Callable[[Mapping[str, Any]], str]) -> Made:
        """Tell the listener that a stage's result is there already."""
        self.emit(StageFinished(made.stage, summary(made.facts), 0.0, skipped=True, facts=made.facts))
        return made

    def recorded(self, stage: str) -> Made | None:
        """The object that the run to be resumed was made from, if it is still in the store."""
        if self.resume is None or stage in self.force:
            return None
        digest = self.resume.info.inputs.get({"ingest": "documents", "encode": "tokens"}.get(stage, stage))
        if digest is None:
            return None
        folder = self.store.object(digest)
        try:
            manifest = read_manifest(folder)
        except StoreError:
            return None
        if manifest.check(folder) is not None:
            return None
        facts = manifest.facts
        path = self.workspace.relative(folder)
        return Made(stage, digest, path, facts, True, "recorded with the run", dict(self.resume.info.inputs))
