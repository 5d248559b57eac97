"""The stages of a sweep: determine what is searched, train the trials, and write what they came to."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from charpipe.comparison import Row, Trial, map_trials
from charpipe.errors import InterruptedRun
from charpipe.events import (
    Evaluated,
    Event,
    OfTrial,
    StageFinished,
    StagesPlanned,
    Step,
    TrainingStarted,
)
from charpipe.stages import Context, Parallel, StageOutput, WouldRun, stage
from charpipe.stages.executors import Arguments, Launch
from charpipe.stages.stage import Stage
from charpipe.store import digest_of_json
from charpipe.store.locks import exclusive
from charpipe.sweeps.space import Dimension
from charpipe.sweeps.study import DATABASE, Study, open_study
from charpipe.sweeps.sweep import Pruner, Sampler, Sweep

PERCENT = 100


@stage("space", "Determine the settings to vary.")
def plan_sweep(
    context: Context,
    corpus: str,
    arch: str,
    space: Sequence[Dimension],
    trials: int,
    sampler: Sampler,
    pruner: Pruner,
    storage: str | None,
    tokens: StageOutput,
) -> Sweep:
    """The sweep of this request. Its name covers the text, the settings and the space, but not the number of trials."""
    name, _ = context.corpus(corpus)
    config = context.config
    digest = digest_of_json(
        {
            "tokens": tokens.digest,
            "arch": arch,
            "space": [str(dimension) for dimension in space],
            "search": [sampler, pruner],
            "table": config.architectures.get(arch, {}),
            "train": config.train.model_dump(mode="json"),
            "plugin": context.registry.find("architecture", arch).provider.digest(),
        }
    )
    return Sweep(
        f"{name}-{arch}-{digest[:6]}",
        name,
        arch,
        tuple(space),
        trials,
        sampler,
        pruner,
        config.train.seed,
        storage,
    )


def sweep_folder(context: Context, name: str) -> Path:
    """The folder of a sweep's files in the workspace."""
    return context.workspace.root / "sweeps" / name


def search(
    context: Context,
    sweep: Sweep,
    corpus: str,
    tokens: StageOutput,
    vocabulary: StageOutput,
    parallel: Parallel,
) -> None:
    """Train the sweep's trials that are not done yet.

    Raises InterruptedRun, once all that were running are saved; WouldRun in a dry run with work to do.
    """
    folder = sweep_folder(context, sweep.name)
    if context.dry_run:
        _tell_what_would_run(context, sweep, folder)
        return
    folder.mkdir(parents=True, exist_ok=True)

    def wait(holder: str) -> None:
        if f"process {os.getpid()} " not in holder:  # not the thread that ran the first stages
            context.notice(f"{sweep.name} is being run by {holder}; waiting for it")

    with (
        exclusive(folder / "sweep.lock", wait, lambda: context.check_stop("the sweep")),
        open_study(sweep, folder, context.workspace.root) as study,
    ):
        watch = Watch(context, study)
        calls = _calls(context, sweep, study, (corpus, tokens, vocabulary, sweep.name))
        watched = dataclasses.replace(parallel, watch=watch)
        for (trial, *_), row in map_trials(context, calls, watched):
            study.tell(trial.number, row, pruned=trial.number in watch.pruned)


def _prepare(context: Context, sweep: Sweep, study: Study) -> int:
    """Queue what has to be repeated; returns how many trials are left."""
    repeated = study.repeat_interrupted()
    if sweep.sampler == "grid":
        study.queue_grid()
    left = max(0, sweep.trials - study.done)
    if study.done:
        also = f"; {repeated} interrupted trial{'s go' if repeated != 1 else ' goes'} on" if repeated else ""
        context.notice(f"{sweep.name}: {study.done} of {sweep.trials} trials are done{also}")
    context.emit(StagesPlanned(tuple(f"trial {number}" for number in study.next_numbers(left))))
    return left


def _calls(context: Context, sweep: Sweep, study: Study, rest: tuple[Any, ...]) -> Iterator[Arguments]:
    """The arguments of the trials that are left; each is asked for when there is room for it."""
    for _ in range(_prepare(context, sweep, study)):
        number, settings = study.ask()
        yield Trial(sweep.arch, seed=sweep.seed, number=number, settings=tuple(settings.items())), *rest


def _tell_what_would_run(context: Context, sweep: Sweep, folder: Path) -> None:
    done = 0
    if (folder / DATABASE).is_file() or sweep.storage is not None:
        with open_study(sweep, folder, context.workspace.root) as study:
            done = study.done
    if done < sweep.trials:
        raise WouldRun(f"{sweep.trials - done} of {sweep.trials} trials would run, and the others are done")


class Watch:
    """Reports the validation losses of trials to Optuna while they train, and stops those that it prunes."""

    def __init__(self, context: Context, study: Study) -> None:
        self._study, self._by_steps = study, context.config.train.steps is not None
        self.pruned: set[int] = set()

    def __call__(
        self,
        launch: Launch,
        stage: Stage[..., Any],
        context: Context,
        arguments: Arguments,
    ) -> Any:
        """Make one call by `launch`; returns the row of a pruned trial, too."""
        trial, began = arguments[0], time.monotonic()
        stop = context.stop.own()
        seen = _Seen()

        def emit(event: Event) -> None:
            inner = event.event if isinstance(event, OfTrial) else event
            seen(inner)
            context.emit(event)
            if (
                isinstance(inner, Evaluated)
                and "val/loss" in inner.metrics
                and trial.number not in self.pruned
            ):
                loss = inner.metrics["val/loss"]
                if self._study.should_prune(trial.number, seen.position(self._by_steps), loss):
                    self.pruned.add(trial.number)
                    stop.end()

        try:
            found = launch(stage, dataclasses.replace(context, emit=emit, stop=stop), arguments)
        except InterruptedRun:
            if trial.number not in self.pruned or context.stop.event.is_set():
                self.pruned.discard(trial.number)
                raise
            seconds = time.monotonic() - began
            context.emit(
                StageFinished(trial.name, f"pruned at step {seen.step:,}", seconds, facts={"run": seen.run})
            )
            return Row(
                trial.title, trial.seed, seen.run, steps=seen.step, seconds=seconds, val_bits=seen.bits
            )
        self.pruned.discard(trial.number)  # it had ended before it could be stopped
        return found


@dataclasses.dataclass
class _Seen:
    """What the events of one trial say: its run, its latest step and score."""

    run: str = ""
    step: int = 0
    steps: int | None = None
    bits: float | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case TrainingStarted(run=run, step=step, steps=steps):
                self.run, self.step, self.steps = run, step, steps
            case Step(step=step, steps=steps):
                self.step, self.steps = step, steps
            case Evaluated(step=step, metrics=metrics):
                self.step, self.bits = step, metrics.get("val/bits_per_char")
            case _:
                pass

    def position(self, by_steps: bool) -> int:
        """How far it is, comparable between trials: its step, or, where each trains for a time, its percentage."""
        if by_steps or not self.steps:
            return self.step
        return round(PERCENT * self.step / self.steps)
