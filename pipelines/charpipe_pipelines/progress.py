"""Reports a run to Prefect's UI while it works: progress, the latest sample, log lines, a name.

A listener on the engine's events. It only records events; a thread of its own updates the server, at most every two
seconds, so that a slow or missing server never blocks training. Cancel in the UI requests a stop.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

import prefect.runtime
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.context import SyncClientContext, TaskRunContext
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from charpipe.events import (
    Evaluated,
    Event,
    Notice,
    OfTrial,
    Sampled,
    StageFailed,
    StageFinished,
    StageProgress,
    StagesPlanned,
    StageStarted,
    Step,
    TrainingStarted,
)
from charpipe.plugin import PipelineResult
from charpipe.reports.markdown import fenced
from charpipe.stages import Stop
from charpipe_pipelines.training_result import TrainingResult

RUN_TAG = "charpipe.run:"
"""What the tag of a flow run begins with that names its training run."""
INTERVAL = 2.0
CANCEL_EVERY = 3
LEVELS = {"warning": logging.WARNING, "error": logging.ERROR}


class FlowProgress:
    """Progress of a flow run in Prefect's UI. Call `enter` in a task before its stage, `finish` when the flow ends."""

    def __init__(self, stop: Stop) -> None:
        self.run: str | None = None
        self._many = False
        self._stop = stop
        self._flow_run: UUID | None = None
        self._tasks: dict[str, UUID] = {}
        self._progress: dict[str, float] = {}
        self._text: str | None = None
        self._made: dict[str, UUID] = {}
        self._told: dict[str, Any] = {}
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def enter(self, stage: str) -> None:
        """Begin a stage's task, in this thread."""
        if (context := TaskRunContext.get()) is not None:
            self._tasks[stage] = context.task_run.id
            self._flow_run = context.task_run.flow_run_id

    def enter_task(self, name: str, task_run: UUID) -> None:
        """Record the task of a call that runs elsewhere."""
        self._tasks[name] = task_run
        self._flow_run = self._flow_run or prefect.runtime.flow_run.id

    def __call__(self, event: Event) -> None:
        """Record an event."""
        match event:
            case OfTrial(trial=trial, event=inner):
                self._trial(trial, inner)
            case Step(step=step, steps=steps):
                if steps:
                    self._progress["train"] = step / steps
            case StageProgress(stage=stage, done=done, total=total):
                if total:
                    self._progress[stage] = done / total
            case Sampled(step=step, text=text, prompt=prompt):
                self._text = _sample(self.run, f"step {step:,}", prompt + text)
            case StagesPlanned():
                self._many = True
            case TrainingStarted(run=run):
                self.run = run
                self._log(logging.INFO, f"{run}: {event.model} on {event.device} in {event.precision}")
            case StageStarted(stage=stage, why=why):
                self._log(logging.INFO, f"{stage}: run" + (f" ({why})" if why else ""))
            case StageFinished(stage=stage):
                self._finished(event)
            case StageFailed(stage=stage, reason=reason):
                self._log(logging.ERROR, f"{stage}: {reason}")
            case Notice(message=message, level=level):
                self._log(LEVELS.get(level, logging.INFO), message)
            case Evaluated(step=step, metrics=metrics):
                self._log(logging.INFO, f"step {step:,}: {_numbers(metrics)}")
            case _:
                pass
        if self._thread is None and (self._progress or self._text):
            self._thread = threading.Thread(target=self._work, name="prefect-page", daemon=True)
            self._thread.start()

    def _trial(self, trial: str, event: Event) -> None:
        """Record an event of one of several trainings."""
        match event:
            case Step(step=step, steps=steps):
                if steps:
                    self._progress[trial] = step / steps
            case TrainingStarted(run=run):
                self._log(
                    logging.INFO, f"{trial}: {run}: {event.model} on {event.device} in {event.precision}"
                )
            case Evaluated(step=step, metrics=metrics):
                self._log(logging.INFO, f"{trial}: step {step:,}: {_numbers(metrics)}")
            case _:
                pass

    def flow_run(self) -> dict[str, Any]:
        """The id and URL of the flow run that this thread works for, as stored with a training run."""
        return {"flow_run_id": str(prefect.runtime.flow_run.id), "url": prefect.runtime.flow_run.ui_url}

    def finish(self, result: PipelineResult | None) -> None:
        """Publish the outcome and stop; does not wait for a server that does not answer."""
        if isinstance(result, TrainingResult):
            self.run = result.run
            self._text = _sample(self.run, _numbers(result.metrics), result.sample)
        self._closing.set()
        if self._thread is None:
            self._tell()
        else:
            self._thread.join(5.0)

    def _finished(self, event: StageFinished) -> None:
        if event.skipped:
            self._log(logging.INFO, f"{event.stage}: already done: {event.summary}")
        else:
            self._log(logging.INFO, f"{event.stage}: {event.summary} ({event.seconds:.1f} s)")
            if event.stage in self._progress:
                self._progress[event.stage] = 1.0

    def _log(self, level: int, message: str) -> None:
        with suppress(MissingContextError):
            get_run_logger().log(level, message)

    def _work(self) -> None:
        rounds = 0
        with suppress(Exception), SyncClientContext():
            while not self._closing.wait(INTERVAL):
                rounds += 1
                self._tell()
                if rounds % CANCEL_EVERY == 0:
                    self._look_for_cancel()
            self._tell()

    def _tell(self) -> None:
        with suppress(Exception):  # best effort: no error here may reach the training
            self._rename()
            for stage, share in list(self._progress.items()):
                percent = round(100 * share, 1)
                self._artifact(f"{_key(stage)}-progress", "progress", percent, f"{stage}: {percent} %", stage)
            if self._text is not None:
                self._artifact("latest-sample", "markdown", self._text, "samples of the model", "train")

    def _rename(self) -> None:
        if self._many:  # the flow run gets the name that all of them share
            return
        if self.run is not None and self._flow_run is not None and self._told.get("name") != self.run:
            client = _client()
            tags = client.read_flow_run(self._flow_run).tags
            kept = [tag for tag in tags if not tag.startswith(RUN_TAG)]
            client.update_flow_run(self._flow_run, name=self.run, tags=[*kept, f"{RUN_TAG}{self.run}"])
            self._told["name"] = self.run

    def _artifact(self, key: str, kind: str, data: Any, description: str, stage: str) -> None:
        if self._told.get(key) == data:
            return
        if key in self._made:
            _client().update_artifact(self._made[key], ArtifactUpdate(data=data, description=description))
        else:
            made = _client().create_artifact(
                ArtifactCreate(
                    key=key,
                    type=kind,
                    data=data,
                    description=description,
                    flow_run_id=self._flow_run,
                    task_run_id=self._tasks.get(stage),
                )
            )
            self._made[key] = made.id
        self._told[key] = data

    def _look_for_cancel(self) -> None:
        with suppress(Exception):
            state = _client().read_flow_run(self._flow_run).state if self._flow_run else None
            if state is not None and (state.is_cancelling() or state.is_cancelled()):
                self._stop.request(15)


def _key(stage: str) -> str:
    """A stage's name in the letters that Prefect allows in keys of artifacts."""
    return re.sub(r"[^a-z0-9]+", "-", stage.lower()).strip("-")


def _client() -> Any:
    """This thread's client: the flow's own, or the publishing thread's."""
    context = SyncClientContext.get()
    if context is None:
        raise LookupError("no client: neither in a flow nor in the page's thread")
    return context.client


def _numbers(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{key} {value:.4g}" for key, value in metrics.items())


def _sample(run: str | None, when: str, text: str) -> str:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"**{run or 'the run'}**, {when}\n\n{fenced(text[:4000])}\n\n{now}\n"
