"""Stages whose results are objects of the store: the same action never runs twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from charpipe.errors import StoreError
from charpipe.events import StageProgress
from charpipe.stages.computation import Computation, Found, once, skipped
from charpipe.stages.context import Context
from charpipe.store import Action
from charpipe.store.manifest import read_manifest
from charpipe.store.store import Built, Make

Summary = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True)
class StageOutput:
    """A stage's object in the store: `path` relative to the workspace, `facts` of its manifest, `inputs` the
    content digests of its inputs."""

    stage: str
    digest: str
    path: str
    facts: Mapping[str, Any]
    reused: bool
    inputs: Mapping[str, str] = field(default_factory=dict)


def build(context: Context, action: Action, make: Make, subject: str, summary: Summary) -> StageOutput:
    """The object of `action`: found in the store, or built by `make(folder)`; see `Store.build`."""
    return once(context, _Build(context, action, make, subject, summary))


def recorded(context: Context, stage: str, summary: Summary) -> StageOutput | None:
    """Like `recorded_object`; if there is one, also reports the stage as already done."""
    made = recorded_object(context, stage)
    return None if made is None else skipped(context, _Recorded(made, summary), made)


def recorded_object(context: Context, stage: str) -> StageOutput | None:
    """The object that the run to be resumed was made from, if it is still intact in the store."""
    if context.resume is None or stage in context.force:
        return None
    inputs = context.resume.info.inputs
    digest = inputs.get({"ingest": "documents", "encode": "tokens"}.get(stage, stage))
    if digest is None:
        return None
    folder = context.store.obtain(digest, stage)
    try:
        manifest = read_manifest(folder)
    except StoreError:
        return None
    if manifest.check(folder) is not None:
        return None
    return StageOutput(stage, digest, context.workspace.relative(folder), manifest.facts, True, dict(inputs))


def progress_of(context: Context, stage: str, unit: str = "bytes") -> Callable[..., None]:
    """Reports a stage's progress to the listener, and raises InterruptedRun once a stop is requested."""

    def progress(done: int, total: int | None = None, unit: str = unit) -> None:
        context.check_stop(stage)
        context.emit(StageProgress(stage, done, total, unit))

    return progress


class _Build(Computation[StageOutput]):
    def __init__(self, context: Context, action: Action, make: Make, subject: str, summary: Summary) -> None:
        self.stage = action.stage
        self._context, self._action, self._make = context, action, make
        self._subject, self._summary = subject, summary

    def find(self) -> Found[StageOutput]:
        store, is_dry = self._context.store, self._context.dry_run
        built = store.find(self._action, pull=not is_dry)
        if built is not None:
            return Found(self._result(built))
        if is_dry and store.shared is not None and store.shared.find(self._action) is not None:
            return Found(work="pull", why=f"it is in {store.shared.url}")
        return Found(why=store.why(self._action, self._subject))

    def make(self) -> StageOutput:
        return self._result(self._context.store.make(self._action, self._make, self._subject))

    def summary(self, result: StageOutput) -> str:
        return self._summary(result.facts)

    def facts(self, result: StageOutput) -> Mapping[str, Any]:
        return result.facts

    def lock(self) -> AbstractContextManager[Any]:
        def wait(holder: str) -> None:
            self._context.notice(f"{self.stage}: waiting for {holder}")

        return self._context.store.lock(self._action, wait, lambda: self._context.check_stop(self.stage))

    def _result(self, built: Built) -> StageOutput:
        path = self._context.workspace.relative(built.path)
        inputs = dict(self._action.inputs)
        return StageOutput(self.stage, built.digest, path, built.facts, built.reused, inputs)


class _Recorded(Computation[StageOutput]):
    """The result as stored with a run."""

    def __init__(self, made: StageOutput, summary: Summary) -> None:
        self.stage, self._made, self._summary = made.stage, made, summary

    def find(self) -> Found[StageOutput]:
        return Found(self._made)

    def make(self) -> StageOutput:
        return self._made

    def summary(self, result: StageOutput) -> str:
        return self._summary(result.facts)

    def facts(self, result: StageOutput) -> Mapping[str, Any]:
        return result.facts
