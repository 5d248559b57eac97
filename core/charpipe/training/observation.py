"""What is looked at and kept while a model trains: a slice of validation, samples, checkpoints, and when."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from charpipe.evaluation import score
from charpipe.events import Evaluated, Event, Sampled
from charpipe.generation import SampleConfig, sample
from charpipe.generation.decoding import Decoding
from charpipe.models import NetworkPredictor
from charpipe.plugin import Decoder, Encoding
from charpipe.training.checkpoints import take_snapshot
from charpipe.training.failures import diverged, is_finite
from charpipe.training.job import Job
from charpipe.training.threads import threads_for_looks
from charpipe.training.writing import Writer

SLICE_SHARE = 0.1
"""Validation tokens for each training token between looks. Reading costs a third of learning: under 5 %."""
SMALLEST_SLICE, LARGEST_SLICE = 2_000, 200_000
FIRST_SAMPLE = 8.0
"""Seconds until the first sample, well within the 20 that are promised."""
SAMPLES_APART = 5.0
SAMPLE_LENGTH = 200


@dataclass
class Observer:
    """Looks at a job after each update and does what is due.

    What it does never changes the training: it draws from generators of its own.
    """

    job: Job
    validation: NDArray[Any] | None
    encoding: Encoding | None
    sampling: SampleConfig
    folder: Path
    began: float = field(default_factory=time.perf_counter)
    saved: int = -1
    sampled: float | None = None
    """When the model last wrote something."""
    looked: tuple[int, float] = (0, 0.0)
    """Step and time at which the last look ended."""
    decoders: Mapping[str, Decoder] | None = None
    """Those that the sampling settings may name; without them the installed ones."""

    def __post_init__(self) -> None:
        every = self.job.settings.evaluate_every or self.job.plan.interval
        self.sampling = replace_length(self.sampling)
        if self.encoding is not None:
            Decoding(
                self.sampling, self.encoding.size, self.decoders
            )  # settings that do not fit are said now
        self.looked = (self.job.step, self.began)
        if not self.job.look:  # else it stays: the best of all looks is of the same tokens
            wanted = int(SLICE_SHARE * every * self.job.lanes.inputs)
            self.job.look = max(SMALLEST_SLICE, min(LARGEST_SLICE, wanted))
        self.writer = Writer(self.folder)

    @property
    def looks(self) -> bool:
        """Whether there is anything to score at a look."""
        return self.validation is not None and len(self.validation) > 1

    @property
    def seconds(self) -> float:
        """Spent on the run so far, in earlier processes too."""
        return self.job.seconds + time.perf_counter() - self.began

    @property
    def exhausted(self) -> bool:
        """Whether the score has not improved for as many looks as patience allows: a function of what a checkpoint
        holds, so that a training that is gone on with ends where it would have."""
        patience, best = self.job.settings.patience, self.job.best
        if patience is None or best is None:
            return False
        every, best_step = self.job.settings.evaluate_every, int(best["step"])
        if every is None:
            return self.job.plan.evaluations_between(best_step, self.job.step) >= patience
        return self.job.step - best_step >= patience * every

    @property
    def evaluates(self) -> bool:
        """Whether an evaluation is due after the update just made: a function of the plan and the settings."""
        step, every = self.job.step, self.job.settings.evaluate_every
        if step == self.job.steps:
            return True
        if every is not None:
            return step % every == 0
        return self.job.plan.evaluations_between(step - 1, step) > 0

    def after_step(self) -> Iterator[Event]:
        """What is due after the update just made."""
        job, settings = self.job, self.job.settings
        yield from self.writer.written()
        look = self.evaluates
        improved = False
        if look:
            before = job.best
            yield self.evaluate()
            improved = job.best is not before
        if self.encoding is not None and self._sample_due(look):
            yield self.sample()
        if improved or self._due(settings.checkpoint_every, look):
            yield from self.save()
        if look:
            self.looked = (job.step, time.perf_counter())

    def _due(self, every: int | None, look: bool) -> bool:
        """Whether what happens `every` so many steps, or else with each look, happens now."""
        return look if every is None else self.job.step % every == 0 or self.job.step == self.job.steps

    def _sample_due(self, look: bool) -> bool:
        """As set; else with each look, but not so often that a quick training is slowed by them, and a first one
        early. The clock may decide here, since samples never change the training."""
        every = self.job.settings.sample_every
        if every is not None or self.job.step == self.job.steps:
            return self._due(every, look)
        now = time.perf_counter()
        if self.sampled is None:
            return now - self.began > FIRST_SAMPLE
        return look and now - self.sampled > SAMPLES_APART

    def evaluate(self) -> Evaluated:
        """Score the slice; remember the best."""
        job = self.job
        total, count = job.recent.tolist()
        job.recent.zero_()
        metrics = {"train/loss": total / count} if count else {}
        step, since = self.looked
        tokens = (job.step - step) * job.lanes.batch_size * job.lanes.window
        metrics["perf/chars_per_second"] = tokens / max(1e-9, time.perf_counter() - since)
        if self.validation is not None and self.looks:
            with threads_for_looks(job):
                found = score(self._predictor(), self.validation, limit=job.look)
            if not math.isfinite(found.nats):
                raise diverged(job.step, job.settings)
            metrics |= {"val/loss": found.nats}
            if job.best is None or found.nats < job.best["loss"]:
                job.best = {"step": job.step, "loss": found.nats}
        job.metrics = metrics
        return Evaluated(job.step, metrics)

    def sample(self) -> Sampled:
        """Let the model write a little."""
        assert self.encoding is not None
        self.sampled = time.perf_counter()
        predictor = NetworkPredictor(self.job.shown, self.job.model.vocabulary_size)
        with threads_for_looks(self.job):
            text = sample(predictor, self.encoding, self.sampling, self.decoders)
        return Sampled(self.job.step, text, self.sampling.prompt)

    def save(self) -> Iterator[Event]:
        """Begin to put a checkpoint on disk; the event of the one before may come first."""
        job = self.job
        if not is_finite(job.model.network):
            raise diverged(job.step, job.settings)
        yield from self.writer.begin(take_snapshot(job, self.seconds))
        self.saved = job.step

    def _predictor(self) -> NetworkPredictor:
        return NetworkPredictor(self.job.shown, self.job.model.vocabulary_size, self.job.precision)


def replace_length(settings: SampleConfig) -> SampleConfig:
    """Samples while training are short, and the same seed lets them be compared."""
    return settings.model_copy(update={"length": min(settings.length, SAMPLE_LENGTH)})
