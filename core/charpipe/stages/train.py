"""Training as a stage: the same command again reuses a finished run and goes on with an interrupted one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from charpipe.errors import InterruptedRun, RunError
from charpipe.events import StageFinished, StageStarted
from charpipe.runs import Run, readable_runs
from charpipe.stages.beginning import check_fits
from charpipe.stages.changes import action_then, first_action
from charpipe.stages.following import follow
from charpipe.stages.plan import Plan, TrainRequest, make_plan
from charpipe.stages.sampling import check_sampling
from charpipe.stages.session import Made, Session, WouldRun
from charpipe.store.locks import exclusive


@dataclass(frozen=True)
class TrainedRun:
    """A run that finished: its name, its folder relative to the workspace, and how it stands."""

    run: str
    path: str
    metrics: Mapping[str, float]
    steps: int
    reused: bool


def train(session: Session, request: TrainRequest, tokens: Made, vocabulary: Made) -> TrainedRun:
    """Train `request.arch` on tokens, or find the run that did.

    Raises InterruptedRun after saving where a stop was wished for, TrainingError where it cannot go on.
    """
    plan = make_plan(session, request, tokens, vocabulary)
    lock = session.workspace.store / "locks" / f"{plan.action.digest}.lock"

    def wait(holder: str) -> None:
        session.notice(f"train: waiting for {holder}")

    with exclusive(lock, wait, lambda: session.check_stop("train")):
        run, why = _find(plan)
        if run is not None and run.status.state == "finished":
            return _finished(session, run, reused=True)
        if session.dry_run:
            raise WouldRun(
                f"train: would {'go on with ' + run.name if run else 'run'} ({why}), and all after it"
            )
        check_sampling(plan)
        if run is None:
            check_fits(plan)
            run = plan.create_run()
        session.emit(StageStarted("train", why))
        if follow(plan, run) == "interrupted":
            raise InterruptedRun(
                f"stopped at step {run.status.step:,}; everything up to there is saved. "
                f"To go on, type: charpipe resume {run.name}",
                session.stop.signal,
            )
        return _finished(session, run, reused=False)


def _find(plan: Plan) -> tuple[Run | None, str]:
    """The run to reuse or to go on with, if there is one, and why training is needed where it is not finished."""
    session, action = plan.session, plan.action
    if "train" in session.force:
        return None, "forced"
    if session.resume is not None:
        _check_same(session.resume, plan)
        return session.resume, f"goes on from step {session.resume.status.step:,}"
    same = [run for run in readable_runs(session.workspace.runs) if run.info.action == action.digest]
    finished = [run for run in same if run.status.state == "finished"]
    if finished:
        return finished[-1], "finished"
    if same:
        return same[-1], f"goes on from step {same[-1].status.step:,}"
    return None, "first time with these settings"


def _check_same(run: Run, plan: Plan) -> None:
    if action_then(run, plan) == first_action(run):
        return
    inputs = {"tokens": plan.tokens.digest, "vocabulary": plan.vocabulary.digest}
    changed = [name for name, digest in inputs.items() if run.info.inputs.get(name) != digest]
    what = " and ".join(changed) or "its settings or the architecture's code"
    raise RunError(
        f"{run.name} cannot go on: {what} changed since it was started; what it learnt is kept, "
        f"and `charpipe sample {run.name}` still works"
    )


def _finished(session: Session, run: Run, *, reused: bool) -> TrainedRun:
    status = run.status
    loss = (status.best or {}).get("metrics", {}).get("val/loss")
    summary = f"{status.step:,} step{'' if status.step == 1 else 's'}" + (
        f"  best val {loss:.3f} nats" if loss is not None else ""
    )
    seconds = 0.0 if reused else status.seconds
    session.emit(StageFinished("train", summary, seconds, skipped=reused, facts={"run": run.name}))
    return TrainedRun(run.name, session.workspace.relative(run.folder), status.metrics, status.step, reused)
