"""The training loop: truncated backpropagation through time over streams that carry their recurrent state.

It knows no progress bar and no tracker. It yields events, and whoever iterates decides what to do with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from charpipe.config.settings.training import TrainConfig
from charpipe.events import Event, Finished, Notice, Step, TrainingStarted
from charpipe.generation import SampleConfig
from charpipe.models import Model
from charpipe.plugin import Decoder, Encoding, Metric
from charpipe.training.determinism import determinism
from charpipe.training.errors import out_of_memory_as_training_error
from charpipe.training.group import ALONE, Group
from charpipe.training.initialization import initialize
from charpipe.training.leader import leading
from charpipe.training.monitor import Monitor
from charpipe.training.plan import Plan
from charpipe.training.planner import Planner
from charpipe.training.setup import Setup
from charpipe.training.state import State
from charpipe.training.threads import threads_for_updates
from charpipe.training.update import build_update, scheduled_rate
from charpipe.training.warm_start import WarmStartCheckpoint


def train(
    model: Model,
    tokens: NDArray[Any],
    settings: TrainConfig,
    *,
    checkpoints: Path,
    validation: NDArray[Any] | None = None,
    encoding: Encoding | None = None,
    resume: Path | None = None,
    warm_start: WarmStartCheckpoint | None = None,
    run: str = "run",
    stop: Callable[[], bool] = lambda: False,
    sampling: SampleConfig | None = None,
    decoders: Mapping[str, Decoder] | None = None,
    metrics: Mapping[str, Metric] | None = None,
    tokens_per_character: float | None = None,
    plan: Plan | None = None,
    group: Group = ALONE,
) -> Iterator[Event]:
    """Train `model` in place on `tokens` (one dimension, unsigned integers) and yield events.

    Checkpoints are written to the folder `checkpoints`. `resume` is one of them to continue from; in a new run,
    `warm_start` names another run's checkpoint to take the weights from. Without `validation` nothing is evaluated,
    without `encoding` (the vocabulary) nothing is sampled. When `stop()` becomes true a checkpoint is saved and
    training finishes as "interrupted". `plan`, recorded by an earlier training, repeats its steps and revisions,
    however long that takes. `metrics` are computed beside
    charpipe's own; bits per character are reported where `tokens_per_character` of the validation text is known.
    This process is rank 0 of `group`; the other workers follow it (`follower.py`).

    Raises UsageError, RunError, TrainingError.
    """
    started = time.perf_counter()
    with out_of_memory_as_training_error(settings), determinism(settings):
        setup, state = initialize(model, tokens, settings, resume, warm_start, group)
    yield from setup.notices
    stopped = _stop_of_any(stop, group)
    with (
        out_of_memory_as_training_error(settings),
        determinism(settings),
        threads_for_updates(setup),
        leading(setup, state),
    ):
        planner = Planner(setup, state, plan)
        yield from planner.make_plan(stopped, started)
        before = time.perf_counter()
        yield _started(run, setup, state)
        started += time.perf_counter() - before  # the time that listeners take to start is not training time
        monitor = Monitor(
            setup,
            state,
            checkpoints=checkpoints,
            started=started,
            validation=validation,
            encoding=encoding,
            sampling=sampling,
            decoders=decoders,
            metrics=metrics,
            tokens_per_character=tokens_per_character,
        )
        try:
            yield from _loop(setup, state, planner, monitor, stopped)
        except Exception:
            yield from monitor.writer.completed(wait=True)  # a checkpoint from before the error counts
            raise
        finally:
            monitor.writer.close()


def _stop_of_any(stop: Callable[[], bool], group: Group) -> Callable[[], bool]:
    """Whether this worker or another one was asked to stop."""
    return lambda: stop() or group.stop_requested


def _loop(
    setup: Setup, state: State, planner: Planner, monitor: Monitor, stop: Callable[[], bool]
) -> Iterator[Event]:
    settings, first_step = setup.settings, state.step
    planner.start(monitor.seconds)
    reason = "budget" if planner.keeps_budget else "steps"
    update = build_update(setup, state)
    if settings.patience is not None and state.step < state.steps and not monitor.validates:
        yield NO_VALIDATION

    while state.step < state.steps:
        if stop():
            reason = "interrupted"
            break
        if monitor.out_of_patience:
            reason = "patience"
            yield _out_of_patience(settings.patience, state)
            break
        rate = scheduled_rate(setup, state)
        measured = update(state.step, rate, monitor.report_due)  # forward, backward, clip, optimizer step
        state.step += 1
        state.measurements.add(measured)
        yield Step(
            state.step,
            state.steps,
            measured["loss"],
            rate,
            setup.batches.tokens_per_step,
            time.perf_counter() - monitor.started,
            planner.budget_left(monitor.seconds),
        )
        yield from monitor.report(rate)
        yield from planner.after_update(monitor.seconds, monitor.writer.seconds)
        evaluated = monitor.evaluation_due
        yield from monitor.after_update()  # evaluate, sample, save
        if evaluated:
            planner.after_evaluation(monitor.seconds)

    if state.step > first_step or state.steps == 0:
        yield from monitor.finish()
    if state.ema is not None and state.step:
        state.ema.copy_to_trained()
    yield Finished(state.step, reason, time.perf_counter() - monitor.started, state.metrics)


NO_VALIDATION = Notice(
    "nothing is held out to validate with, so train.patience cannot end this training", "warning"
)


def _out_of_patience(patience: int | None, state: State) -> Notice:
    count = f"{patience} evaluation{'' if patience == 1 else 's'}"
    return Notice(f"validation is no better after {count}: ending at step {state.step:,} of {state.steps:,}")


def _started(run: str, setup: Setup, state: State) -> TrainingStarted:
    return TrainingStarted(
        run,
        state.step,
        state.steps,
        str(setup.device),
        setup.precision,
        setup.model.parameters,
        setup.model.title,
        setup.engine,
        setup.engine_reason,
    )
