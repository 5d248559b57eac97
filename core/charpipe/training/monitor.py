"""Evaluates, samples and saves a model while it trains, at the steps that the settings and the plan say."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import nn

from charpipe.evaluation import score
from charpipe.events import Evaluated, Event, Reported, Sampled
from charpipe.generation import SampleConfig, sample
from charpipe.generation.decoding import Decoding
from charpipe.models import NetworkPredictor
from charpipe.models.bundle import tensors
from charpipe.models.precision import Precision
from charpipe.plugin import Decoder, Encoding, Facts, Metric
from charpipe.training.checkpoint_writer import CheckpointWriter
from charpipe.training.errors import divergence, is_finite
from charpipe.training.leader import gather_state
from charpipe.training.metrics import REPORT_INTERVAL, Metrics, Weights
from charpipe.training.setup import Setup
from charpipe.training.snapshot import take_snapshot
from charpipe.training.state import State
from charpipe.training.threads import threads_for_evaluation

VALIDATION_SHARE = 0.1
"""Validation tokens for each training token between evaluations. A forward pass alone costs a third of an update, so
this takes under 5 % of the time."""
MIN_VALIDATION_TOKENS, MAX_VALIDATION_TOKENS = 2_000, 200_000
FIRST_SAMPLE = 8.0
"""Seconds until the first sample, well within the 20 that are promised."""
SAMPLE_INTERVAL = 5.0
"""Seconds between samples at least, where `sample_every` is unset."""
SAMPLE_LENGTH = 200
"""Characters of a sample at most."""


class Monitor:
    """Watches a training. Nothing it does changes the training: it draws from random generators of its own."""

    def __init__(
        self,
        setup: Setup,
        state: State,
        *,
        checkpoints: Path,
        started: float,
        validation: NDArray[Any] | None = None,
        encoding: Encoding | None = None,
        sampling: SampleConfig | None = None,
        decoders: Mapping[str, Decoder] | None = None,
        metrics: Mapping[str, Metric] | None = None,
        tokens_per_character: float | None = None,
    ) -> None:
        """`started` is the time at which this process started to train; `decoders` are those that `sampling` may name,
        the installed ones if None. Raises UsageError where the sampling settings do not fit."""
        self.setup, self.state, self.started = setup, state, started
        self.writer = CheckpointWriter(checkpoints)
        self._validation, self._encoding, self._decoders = validation, encoding, decoders
        self._metrics, self._tokens_per_character = Metrics(metrics), tokens_per_character
        self._sampling = short_samples(sampling or SampleConfig())
        if encoding is not None:
            Decoding(self._sampling, encoding.size, decoders, encoding=encoding)
        if (
            not state.validation_tokens
        ):  # otherwise it stays, since the best evaluation was of the same tokens
            every = setup.settings.evaluate_every or state.plan.interval
            wanted = int(VALIDATION_SHARE * every * setup.batches.tokens_per_step)
            state.validation_tokens = max(MIN_VALIDATION_TOKENS, min(MAX_VALIDATION_TOKENS, wanted))
        self._saved_step = -1
        self._sampled_at: float | None = None
        self._evaluated = (state.step, started)
        """Step and time at which the last evaluation ended."""

    @property
    def validates(self) -> bool:
        """Whether there is held-out text to evaluate on."""
        return self._validation is not None and len(self._validation) > 1

    @property
    def seconds(self) -> float:
        """Training time of the run so far, that of earlier processes included."""
        return self.state.seconds + time.perf_counter() - self.started

    @property
    def out_of_patience(self) -> bool:
        """Whether the last `train.patience` evaluations were no better than the best. It depends only on what a
        checkpoint holds, so that a resumed training ends at the same step."""
        patience, best = self.setup.settings.patience, self.state.best
        if patience is None or best is None:
            return False
        every, best_step = self.setup.settings.evaluate_every, int(best["step"])
        if every is None:
            return self.state.plan.evaluations_between(best_step, self.state.step) >= patience
        return self.state.step - best_step >= patience * every

    @property
    def evaluation_due(self) -> bool:
        """Whether an evaluation is due after the last update: it depends on the plan and the settings only."""
        step, every = self.state.step, self.setup.settings.evaluate_every
        if step == self.state.steps:
            return True
        if every is not None:
            return step % every == 0
        return self.state.plan.evaluations_between(step - 1, step) > 0

    @property
    def report_due(self) -> bool:
        """Whether a report follows the next update."""
        return (self.state.step + 1) % REPORT_INTERVAL == 0

    def report(self, learning_rate: float) -> Iterator[Event]:
        """Every tenth update: what the updates since the last report measured, and the metrics of plugins."""
        state = self.state
        if state.step % REPORT_INTERVAL:
            return
        means = state.measurements.means()
        state.measurements.clear()
        loss = (
            {"train/loss": means["loss"]} if "loss" in means else {}
        )  # on CUDA it may not be finite yet unnoticed
        facts = self._facts(
            state.network,
            loss=means.get("loss"),
            grad_norm=means.get("grad_norm"),
            learning_rate=learning_rate,
            metrics={**loss, "train/learning_rate": learning_rate},
        )
        yield Reported(state.step, self._metrics.compute("update", facts))
        yield from self._metrics.warnings()

    def after_update(self) -> Iterator[Event]:
        """Evaluate, sample and save, as far as that is due after the last update."""
        evaluation_due, best = self.evaluation_due, self.state.best
        yield from self.writer.completed()
        if evaluation_due:
            yield self._evaluate()
            yield from self._metrics.warnings()
        if self._encoding is not None and self._sample_due(evaluation_due):
            yield self._sample(self._encoding)
        if self.state.best is not best or self._due(self.setup.settings.checkpoint_every, evaluation_due):
            yield from self._save()
        if evaluation_due:
            self._evaluated = (self.state.step, time.perf_counter())

    def finish(self) -> Iterator[Event]:
        """Save the last step, unless it was saved, and wait until it is on disk."""
        if self._saved_step != self.state.step:
            yield from self._save()
        yield from self.writer.completed(wait=True)

    def _due(self, every: int | None, evaluation_due: bool) -> bool:
        """Whether something is due that happens every `every` steps, or with each evaluation where that is None."""
        if every is None:
            return evaluation_due
        return self.state.step % every == 0 or self.state.step == self.state.steps

    def _sample_due(self, evaluation_due: bool) -> bool:
        """Where `sample_every` is unset: early once, then with evaluations, but not so often that it slows a fast
        training down. This may depend on the clock, since samples never change the training."""
        every = self.setup.settings.sample_every
        if every is not None or self.state.step == self.state.steps:
            return self._due(every, evaluation_due)
        now = time.perf_counter()
        if self._sampled_at is None:
            return now - self.started > FIRST_SAMPLE
        return evaluation_due and now - self._sampled_at > SAMPLE_INTERVAL

    def _evaluate(self) -> Evaluated:
        """Score the first `validation_tokens` of the validation text, and keep the best score."""
        setup, state = self.setup, self.state
        total, count = state.loss_sum.tolist()
        state.loss_sum.zero_()
        metrics = {"train/loss": total / count} if count else {}
        step, since = self._evaluated
        tokens = (state.step - step) * setup.batches.tokens_per_step
        metrics["perf/chars_per_second"] = tokens / max(1e-9, time.perf_counter() - since)
        if self._validation is not None and self.validates:
            with threads_for_evaluation(setup):
                predictor = self._predictor(setup.precision)
                loss = score(predictor, self._validation, limit=state.validation_tokens).nats
            if not math.isfinite(loss):
                raise divergence(state.step, setup.settings)
            metrics |= loss_metrics(loss, self._tokens_per_character)
            if state.best is None or loss < state.best["loss"]:
                state.best = {"step": state.step, "loss": loss}
        facts = self._facts(state.evaluated_network, loss=metrics.get("train/loss"), metrics=metrics)
        state.metrics = self._metrics.compute("evaluation", facts)
        return Evaluated(state.step, state.metrics)

    def _facts(self, network: nn.Module, **known: Any) -> Facts:
        step = self.state.step
        tokens = step * self.setup.batches.tokens_per_step
        weights = Weights(lambda: tensors(network))
        return Facts(step=step, tokens=tokens, seconds=self.seconds, weights=weights, **known)

    def _sample(self, encoding: Encoding) -> Sampled:
        self._sampled_at = time.perf_counter()
        with threads_for_evaluation(self.setup):
            text = sample(self._predictor(), encoding, self._sampling, self._decoders)
        return Sampled(self.state.step, text, self._sampling.prompt)

    def _save(self) -> Iterator[Event]:
        """Start to write a checkpoint. The event of the one before may come first. Raises TrainingError where the
        weights are not finite, or the workers disagree on them."""
        if not is_finite(self.state.network):
            raise divergence(self.state.step, self.setup.settings)
        gather_state(self.setup, self.state)
        yield from self.writer.start(take_snapshot(self.setup, self.state, self.seconds))
        self._saved_step = self.state.step

    def _predictor(self, precision: Precision = "float32") -> NetworkPredictor:
        network, size = self.state.evaluated_network, self.setup.model.vocabulary_size
        return NetworkPredictor(network, size, precision)


def loss_metrics(nats: float, tokens_per_character: float | None = None) -> dict[str, float]:
    """`val/loss`, nats per token, and `val/bits_per_char` where the tokens per character are known."""
    if tokens_per_character is None:
        return {"val/loss": nats}
    return {"val/loss": nats, "val/bits_per_char": nats / math.log(2) * tokens_per_character}


def short_samples(settings: SampleConfig) -> SampleConfig:
    """The sampling settings with `length` bounded. The seed stays, so that samples of a run can be compared."""
    return settings.model_copy(update={"length": min(settings.length, SAMPLE_LENGTH)})
