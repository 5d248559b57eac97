"""Results stored in a run's folder: for the same checkpoint they are found, not computed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from charpipe.events import Event
from charpipe.runs import Recorder, Run
from charpipe.stages.computation import Computation, Found
from charpipe.stages.context import Context
from charpipe.store.manifest import read_manifest
from charpipe.tracking import locate

T = TypeVar("T")


class RunResult(Computation[T]):
    """The result of `stage` for a run; `digest` covers all that it depends on."""

    def __init__(
        self,
        stage: str,
        run: Run,
        digest: str,
        work: Callable[[], T],
        from_json: Callable[[Mapping[str, Any]], T],
        to_json: Callable[[T], dict[str, Any]],
        summary: Callable[[T], str],
    ) -> None:
        self.stage, self._run, self._digest = stage, run, digest
        self._work, self._from_json, self._to_json, self._summary = work, from_json, to_json, summary

    def find(self) -> Found[T]:
        known = self._run.result(self.stage, self._digest)
        return Found() if known is None else Found(self._from_json(known))

    def make(self) -> T:
        result = self._work()
        self._run.keep_result(self.stage, self._digest, self._to_json(result))
        return result

    def summary(self, result: T) -> str:
        return self._summary(result)


def checkpoint_digest(run: Run) -> str:
    """The content digest of the run's best checkpoint."""
    return read_manifest(run.checkpoint("best")).digest


def record(context: Context, run: Run, event: Event) -> None:
    """Store an outcome with the run, and notify the plugins that listen."""
    Recorder(run)(event)
    context.registry.notify(event)
    context.publishing.change(run.name)


def publish(context: Context, run: Run) -> None:
    """Update MLflow from the run's folder. An error of MLflow is reported, and has no other effect."""
    tracking = context.config.tracking
    if not tracking.enabled:
        return
    from charpipe.tracking.sync import catch_up

    catch_up(locate(tracking, context.workspace.mlflow), run, context.emit, tracking.experiment)
