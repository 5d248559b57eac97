"""The stage `train`: repeating a command reuses a finished run and resumes an interrupted one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from charpipe.config.names import parse_tags
from charpipe.errors import InterruptedRun, RunError
from charpipe.runs import Run
from charpipe.runs.annotations import read_annotations
from charpipe.runs.changed_settings import check_settings
from charpipe.runs.errors import FinishedElsewhereError
from charpipe.stages.computation import Computation, Found, once
from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput
from charpipe.stages.plan import TrainingJob, TrainRequest, make_plan
from charpipe.stages.resume import action_then, first_action
from charpipe.stages.sampling import check_sampling
from charpipe.stages.shared_runs import push_missing
from charpipe.stages.stage import stage
from charpipe.stages.training import run_training
from charpipe.stages.warm_start import check_fits
from charpipe.tracking import locate
from charpipe.tracking.annotations import publish_annotations


@dataclass(frozen=True)
class TrainedRun:
    """A finished run: its name, its folder relative to the workspace, its metrics and its number of steps."""

    run: str
    path: str
    metrics: Mapping[str, float]
    steps: int
    reused: bool


@stage("train", "Train the model, or find the run that did.", forcible=True)
def train(
    context: Context, request: TrainRequest, tokens: StageOutput, vocabulary: StageOutput
) -> TrainedRun:
    """Train `request.arch` on tokens, or find the run that did.

    Raises InterruptedRun, after saving, if a stop was requested; TrainingError if training cannot continue.
    """
    trained = once(context, _Training(make_plan(context, request, tokens, vocabulary)))
    if not context.dry_run:
        add_tags(context, trained)
        push_missing(context, trained.run)
    return trained


def add_tags(context: Context, trained: TrainedRun) -> None:
    """Add the tags of the settings to the run, which may be one of an earlier command."""
    run = Run(context.workspace.root / trained.path)
    annotations, tags = read_annotations(run.folder), parse_tags(context.config.tracking.tags)
    if tags.items() <= annotations.tags.items():
        return
    context.runs.annotate(run, annotations.changed(tags={**annotations.tags, **tags}))
    if context.config.tracking.enabled and not context.publishing.is_lost:
        location = locate(context.config.tracking, context.workspace.mlflow)
        publish_annotations(location, run, context.emit)


class _Training(Computation[TrainedRun]):
    stage = "train"

    def __init__(self, plan: TrainingJob) -> None:
        self._plan, self._context = plan, plan.context
        self._run: Run | None = None
        """The run to resume, once `find` has found one."""

    def find(self) -> Found[TrainedRun]:
        self._run, why = _find(self._plan)
        if self._run is None:
            return Found(why=why)
        if self._run.status.state == "finished":
            if not self._context.dry_run:
                self._context.runs.pull(self._run, "best")
            return Found(self._result(self._run, reused=True))
        return Found(why=why, work=f"resume {self._run.name}")

    def prepare(self) -> None:
        plan = self._plan
        check_sampling(plan)
        if self._run is None:
            check_fits(self._context, plan.request.warm_start, plan.provided.spec, plan.config)

    def make(self) -> TrainedRun:
        run = self._run or self._plan.create_run()
        try:
            state = run_training(self._plan, run)
        except FinishedElsewhereError:
            self._context.runs.refresh(run)
            self._context.runs.pull(run, "best")
            return self._result(run, reused=True)
        if state == "interrupted":
            raise InterruptedRun(
                f"stopped at step {run.status.step:,}; everything up to there is saved. "
                f"To resume, type: charpipe resume {run.name}",
                self._context.stop.signal,
            )
        return self._result(run, reused=False)

    def summary(self, result: TrainedRun) -> str:
        status = self._folder(result).status
        loss = (status.best or {}).get("metrics", {}).get("val/loss")
        best = f"  best val {loss:.3f} nats" if loss is not None else ""
        return f"{result.steps:,} step{'' if result.steps == 1 else 's'}{best}"

    def facts(self, result: TrainedRun) -> Mapping[str, Any]:
        return {"run": result.run}

    def seconds(self, result: TrainedRun, elapsed: float) -> float:
        return self._folder(result).status.seconds

    def lock(self) -> AbstractContextManager[Any]:
        def wait(holder: str) -> None:
            self._context.notice(f"train: waiting for {holder}")

        return self._context.store.lock(self._plan.action, wait, lambda: self._context.check_stop("train"))

    def _folder(self, result: TrainedRun) -> Run:
        return Run(self._context.workspace.root / result.path)

    def _result(self, run: Run, *, reused: bool) -> TrainedRun:
        path, status = self._context.workspace.relative(run.folder), run.status
        return TrainedRun(run.name, path, status.metrics, status.step, reused)


def _find(plan: TrainingJob) -> tuple[Run | None, str]:
    """The run to reuse or to resume, if any, and why training is needed if it is not finished."""
    context, action = plan.context, plan.action
    if context.resume is not None:
        context.runs.refresh(context.resume)
        _check_same(context.resume, plan)
        return context.resume, f"resumes from step {context.resume.status.step:,}"
    same = context.runs.of_action(action.digest)
    finished = [run for run in same if run.status.state == "finished"]
    if finished:
        return finished[-1], "finished"
    if same:
        return same[-1], f"resumes from step {same[-1].status.step:,}"
    return None, "first time with these settings"


def _check_same(run: Run, plan: TrainingJob) -> None:
    if action_then(run, plan) == first_action(run):
        return
    check_settings(run.info, plan.context.config)
    inputs = {"tokens": plan.tokens.digest, "vocabulary": plan.vocabulary.digest}
    changed = [name for name, digest in inputs.items() if run.info.inputs.get(name) != digest]
    what = " and ".join(changed) or "its settings or the architecture's code"
    raise RunError(
        f"{run.name} cannot be resumed: {what} changed since it was started; its checkpoints are kept, "
        f"and `charpipe sample {run.name}` still works"
    )
