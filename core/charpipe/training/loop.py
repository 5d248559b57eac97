"""The training loop: truncated backpropagation through time over lanes that carry their state.

It knows no progress bar and no tracker: it yields events, and whoever iterates decides what becomes of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from charpipe.events import Event, Finished, Notice, PlanRevised, Step, TrainingStarted
from charpipe.generation import SampleConfig
from charpipe.models import Model
from charpipe.plugin import Decoder, Encoding
from charpipe.training.budget import Pace, steps_within
from charpipe.training.determinism import determinism
from charpipe.training.failures import diverged, memory_explained
from charpipe.training.job import Job, prepare, reseed
from charpipe.training.observation import Observer
from charpipe.training.optimisers import clip_gradient, set_rates
from charpipe.training.plan import Plan, Segment, rest_of
from charpipe.training.recording import Recorded
from charpipe.training.schedules import learning_rate, momentum
from charpipe.training.settings import TrainConfig, parse_budget
from charpipe.training.start import Start
from charpipe.training.threads import threads_for_updates

CHECK_EVERY = 50
"""Steps between looks at a loss that lies on an accelerator; on a CPU looking is free."""


def train(
    model: Model,
    tokens: NDArray[Any],
    settings: TrainConfig,
    *,
    checkpoints: Path,
    validation: NDArray[Any] | None = None,
    encoding: Encoding | None = None,
    resume: Path | None = None,
    start: Start | None = None,
    run: str = "run",
    stop: Callable[[], bool] | None = None,
    sampling: SampleConfig | None = None,
    decoders: Mapping[str, Decoder] | None = None,
    plan: Plan | None = None,
) -> Iterator[Event]:
    """Train `model` in place on `tokens` (one-dimensional, unsigned), yielding what happens.

    `checkpoints` is the folder that checkpoints are written to, `resume` one of them to go on from; without one,
    `start` names a checkpoint of another run whose weights are begun with. Without
    `validation` nothing is scored, without `encoding` (the vocabulary) nothing is sampled. When `stop()`
    becomes true a checkpoint is saved and training ends as "interrupted". With `plan`, that of an earlier training,
    its steps and revisions are made again, whatever time that takes. Raises UsageError, RunError, TrainingError.
    """
    began = time.perf_counter()
    with memory_explained(settings), determinism(settings):
        job = prepare(model, tokens, settings, resume, start)
    yield from job.notices
    with memory_explained(settings), determinism(settings), threads_for_updates(job):
        stop = stop or (lambda: False)
        yield from _fix_steps(job, stop, plan, began)
        measured = time.perf_counter()
        yield TrainingStarted(
            run,
            job.step,
            job.steps,
            str(job.device),
            job.precision,
            model.parameters,
            model.title,
            job.engine,
            job.engine_reason,
        )
        began += time.perf_counter() - measured  # what listeners prepare is no training
        observer = Observer(
            job, validation, encoding, sampling or SampleConfig(), checkpoints, began, decoders=decoders
        )
        try:
            yield from _loop(job, observer, stop, rest_of(plan, job.plan, job.step) if plan else None)
        except Exception:
            yield from observer.writer.written(wait=True)  # what was saved before it went wrong counts
            raise
        finally:
            observer.writer.end()


def _loop(
    job: Job, observer: Observer, stop: Callable[[], bool], recorded: Sequence[Segment] | None
) -> Iterator[Event]:
    settings, reason = job.settings, "budget" if job.settings.steps is None else "steps"
    pace = _pace(job, observer.seconds) if reason == "budget" and recorded is None else None
    if settings.patience is not None and job.step < job.steps and not observer.looks:
        yield Notice(
            "nothing is held out to validate with, so train.patience cannot end this training", "warning"
        )

    while job.step < job.steps:
        step = job.step
        if stop():
            reason = "interrupted"
            break
        if observer.exhausted:
            reason = "patience"
            looks = f"{settings.patience} look{'' if settings.patience == 1 else 's'}"
            yield Notice(f"validation is no better after {looks}: ending at step {step:,} of {job.steps:,}")
            break
        rate = rate_of(job, step)
        loss = update(job, step, rate)
        job.step = step + 1
        yield _step(job, observer, loss, rate)
        yield from _revise(job, observer, pace, recorded or ())
        evaluated = observer.evaluates
        yield from observer.after_step()
        if pace is not None and evaluated:
            pace.evaluated(observer.seconds)

    if observer.saved != job.step and (job.step > job.started or job.steps == 0):
        yield from observer.save()
    yield from observer.writer.written(wait=True)
    if job.average is not None and job.step:
        job.average.settle()
    yield Finished(job.step, reason, time.perf_counter() - observer.began, job.metrics)


def update(job: Job, step: int, rate: float) -> Tensor:
    """One update of the weights; the loss before it, nats per token."""
    settings = job.settings
    if job.engine == "cuda-graphs" and job.recorded is None:
        job.recorded = Recorded(job, learn)
    reseed(settings.seed, step, job.device)
    if job.recorded is not None:
        loss = job.recorded.update(step, rate)
    else:
        inputs, targets = (ids.to(job.device, non_blocking=True) for ids in job.lanes.read(step))
        if job.lanes.begins(step):
            job.state = job.model.network.initial_state(job.lanes.batch_size)  # type: ignore[operator]
        set_rates(job.optimizer, rate, momentum(settings, *_place(job, step)))
        loss = learn(job, inputs, targets)

    if job.average is not None:
        job.average.update(step + 1)
    if (job.device.type == "cpu" or step % CHECK_EVERY == 0) and not math.isfinite(loss.item()):
        raise diverged(step + 1, settings)
    return loss


def learn(job: Job, inputs: Tensor, targets: Tensor) -> Tensor:
    """Forward, backward and the optimiser's step on ids [T, B] and those that follow them; the loss before it."""
    job.optimizer.zero_grad(set_to_none=True)
    factor = len(inputs) if job.settings.loss == "sum" else 1
    # truncated: the state's numbers are carried on, its gradient is not
    loss, job.state = job.loss_and_grad(inputs, targets, job.state, factor)
    job.scaler.unscale_(job.optimizer)
    clip_gradient(job.model.network, job.settings)
    job.scaler.step(job.optimizer)
    job.scaler.update()

    job.recent[0] += loss
    job.recent[1] += 1
    return loss


def _fix_steps(job: Job, stop: Callable[[], bool], plan: Plan | None, began: float) -> Iterator[Notice]:
    """How many steps this training has: as set, as recorded, or as many as what is left of the budget allows."""
    settings = job.settings
    if plan is not None:
        job.plan = Plan(plan.segments[:1]) if job.before is None else job.plan
        rest_of(plan, job.plan, job.step)
        return
    if settings.steps is not None:
        _restart(job, max(settings.steps, job.step))
        return
    if job.before is not None and all(
        job.before.get(key) == getattr(settings, key) for key in ("steps", "budget", "max_epochs")
    ):
        return
    left = parse_budget(settings.budget) - job.seconds - (time.perf_counter() - began)
    most = _most(job) - job.step
    steps = job.step
    if left > 0 and most > 0:
        scratch = job.scratch()
        steps += steps_within(left, lambda step: _measured(scratch, step), most, stop)
    _restart(job, steps)
    yield Notice(f"{settings.budget} of training: {job.steps:,} steps")


def _restart(job: Job, steps: int) -> None:
    """Plan with `steps`, as if from the start, unless that is the plan."""
    if steps != job.steps or job.before is None:
        job.plan = job.plan.restarted(job.step, steps) if job.step else Plan.of(steps)


def _most(job: Job) -> int:
    return max(1, math.ceil(job.settings.max_epochs * job.lanes.steps_per_epoch))


def _pace(job: Job, now: float) -> Pace:
    budget = parse_budget(job.settings.budget)
    return Pace(budget, job.plan, job.step, now, _most(job), job.settings.evaluate_every)


def _revise(
    job: Job, observer: Observer, pace: Pace | None, recorded: Sequence[Segment]
) -> Iterator[PlanRevised | Notice]:
    """Revise the plan where the budget wants it, or where it was revised in the training that is replayed."""
    before, revision = job.plan, next((segment for segment in recorded if segment.step == job.step), None)
    if pace is not None:
        pace.stepped(observer.seconds)
        revision = pace.revision(job.plan, job.step, observer.seconds, observer.writer.seconds)
    if revision is None:
        return
    job.plan = before.extended(revision)
    yield PlanRevised(*revision)
    if pace is not None and revision.steps == job.step < before.steps:
        yield Notice(
            f"the machine became too slow for the plan of {before.steps:,} steps: the budget of {job.settings.budget} "
            f"is spent, ending at step {job.step:,}",
            "warning",
        )


def _place(job: Job, step: int) -> tuple[float, int]:
    """Where update `step` lies in the schedule: so many updates, a fraction, of so many."""
    position, steps = job.plan.position(step + 1)
    return position - 1, steps


def rate_of(job: Job, step: int) -> float:
    """The learning rate of update `step`."""
    position, steps = _place(job, step)
    return learning_rate(job.settings, position, steps, job.lanes.steps_per_epoch, made=step)


def _step(job: Job, observer: Observer, loss: Tensor, rate: float) -> Step:
    seconds = time.perf_counter() - observer.began
    left = None
    if job.settings.steps is None:
        left = max(0.0, parse_budget(job.settings.budget) - job.seconds - seconds)
    return Step(job.step, job.steps, loss, rate, job.lanes.inputs, seconds, left)


def _measured(scratch: Job, step: int) -> None:
    update(scratch, step, scratch.settings.learning_rate * 1e-3).item()
