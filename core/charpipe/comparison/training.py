"""One trial of a comparison: train and evaluate it, or find the run that did; a failure becomes a row with
the error."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

from charpipe import stages
from charpipe.comparison.configurations import configured
from charpipe.comparison.leaderboard import Row
from charpipe.comparison.remote import REMOTE_TRIAL
from charpipe.comparison.trials import Trial
from charpipe.errors import InterruptedRun, one_line
from charpipe.events import Event, StageFailed, StageFinished, StageProgress, StageStarted, TrainingStarted
from charpipe.reports.history import read_history
from charpipe.runs import Run
from charpipe.stages import Context, StageOutput, TrainRequest, WouldRun, stage
from charpipe.stages.run_results import publish
from charpipe.stages.shared_runs import push_results

SPEED = "perf/chars_per_second"


@stage(
    "compare",
    "Train and score one configuration, or find the run that did.",
    label=lambda trial, *_: str(trial.name),
    remote=REMOTE_TRIAL,
)
def train_trial(
    context: Context,
    trial: Trial,
    corpus: str,
    tokens: StageOutput,
    vocabulary: StageOutput,
    comparison: str = "",
) -> Row:
    """Train and evaluate one configuration, or find the run that did; `comparison` is the name of its comparison.

    Raises InterruptedRun after saving if a stop was requested; every other error is stored in the row, so that the
    other configurations continue. In a dry run, the row of a configuration that would be trained names no run.
    """
    listener = _TrialListener(context, trial.name, comparison)
    own = replace(configured(context, trial), emit=listener)
    context.check_stop(trial.name)
    try:
        request = TrainRequest(corpus, trial.arch, options={"corpus": corpus, "arch": trial.arch})
        trained = stages.train(own, request, tokens, vocabulary)
        evaluated = stages.evaluate(own, trained, tokens)
    except WouldRun as stage:
        context.notice(f"{trial.name}: {stage}".replace(", and all after it", ""))
        return Row(trial.title, trial.seed)
    except InterruptedRun as error:
        raise InterruptedRun(
            f"stopped in {trial.name}; it and everything finished before it are kept; "
            "to continue, type the same command again",
            error.exit_code - 128,
        ) from error
    except Exception as error:  # a plugin's error, or out of memory: continue with the others
        context.emit(StageFailed(trial.name, one_line(error)))
        return Row(trial.title, trial.seed, listener.run, error=one_line(error))
    run = Run(context.workspace.root / trained.path)
    if comparison and run.status.comparison != comparison and not context.dry_run:
        run.update(comparison=comparison)
    if context.publishing.is_due(run.name):
        publish(own, run)
    push_results(own, run)
    row = row_of(run, trial, evaluated.metrics, evaluated.warning is not None)
    listener.finish(row)
    return row


def row_of(run: Run, trial: Trial, scores: Mapping[str, float], worse_than_guessing: bool = False) -> Row:
    """The row of a run that was trained and evaluated."""
    status = run.status
    speeds = [point.value for point in read_history(run).curve(SPEED)]
    return Row(
        trial.title,
        trial.seed,
        run.name,
        parameters=status.parameters,
        steps=status.step,
        val_loss=scores.get("val/loss"),
        test_loss=scores.get("test/loss"),
        val_bits=scores.get("val/bits_per_char"),
        test_bits=scores.get("test/bits_per_char"),
        speed=median(speeds) if speeds else status.metrics.get(SPEED),
        seconds=status.seconds,
        engine=status.engine or "",
        worse_than_guessing=worse_than_guessing,
    )


@dataclass
class _TrialListener:
    """Forwards a training's events as those of one stage, named after the trial."""

    context: Context
    name: str
    comparison: str
    run: str = ""
    worked: bool = False
    started: float = 0.0

    def __post_init__(self) -> None:
        self.started = time.monotonic()

    def __call__(self, event: Event) -> None:
        match event:
            case StageStarted(stage="train", why=why):
                self.worked = True
                self.context.emit(StageStarted(self.name, why))
            case StageStarted(stage=stage):
                if not self.worked:  # trained before, but not evaluated yet
                    self.worked = True
                    self.context.emit(StageStarted(self.name, f"to {stage}"))
            case StageProgress():
                self.context.emit(replace(event, stage=self.name))
            case StageFinished():
                return
            case TrainingStarted(run=run):
                self.run = run
                if self.comparison:
                    Run(self.context.workspace.runs / run).update(comparison=self.comparison)
                if self.context.flow_run:
                    Run(self.context.workspace.runs / run).update(prefect=dict(self.context.flow_run))
                self.context.emit(event)
            case _:
                self.context.emit(event)

    def finish(self, row: Row) -> None:
        """Emit the end of the trial."""
        bits = row.test_bits if row.test_bits is not None else row.val_bits
        said = f"{row.steps:,} step{'' if row.steps == 1 else 's'}"
        if bits is not None:
            said += f"  {'test' if row.test_bits is not None else 'val'} {bits:.4f} bits/char"
        seconds = time.monotonic() - self.started
        self.context.emit(
            StageFinished(self.name, said, seconds, skipped=not self.worked, facts={"run": row.run})
        )
