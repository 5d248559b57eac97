"""Warn if a model scores worse than the uniform baseline, and suggest settings.

The baseline predicts all V tokens of the vocabulary with equal probability: log(V) nats per token on any text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charpipe.config.settings.training import TrainConfig
from charpipe.runs import Run, RunInfo
from charpipe.runs.folder import Status

MARGIN = 1.1
"""A barely trained network scores within a few percent of log(V), and the first step may raise or lower the loss.
A wrong learning rate raises the loss far more than this, so a loss within the margin causes no warning."""
SPLITS = ("val", "test", "train")
"""The splits whose losses are checked, in this order; the training loss only for runs without held-out text."""


def guessing_loss(vocabulary_size: int) -> float:
    """Loss of the uniform distribution over the vocabulary, in nats per token."""
    return math.log(vocabulary_size)


def is_worse_than_guessing(loss: float | None, vocabulary_size: int) -> bool:
    """Whether a loss in nats per token exceeds the uniform baseline by more than the margin."""
    # the baseline of a one-token vocabulary is 0: without the lower bound, any rounding error would exceed it
    return loss is not None and loss > MARGIN * guessing_loss(max(2, vocabulary_size))


def warn_about(
    info: RunInfo, status: Status, scores: Mapping[str, float] | None = None, splits: Sequence[str] = SPLITS
) -> str | None:
    """A warning that states the loss and suggests settings if the run is worse than the baseline; else None.

    `scores` are new metrics that override those recorded in the run; `splits` lists the splits to check.
    """
    recorded = status.metrics or (status.best or status.last or {}).get("metrics", {})
    return warning(
        info.name,
        {**recorded, **(scores or {})},
        info.vocabulary_size,
        info.settings,
        splits=splits,
        counted=info.architecture if status.engine == "counted" else None,
    )


def warn_about_text(runs: Path, name: str, vocabulary_size: int, scores: Mapping[str, float]) -> str | None:
    """Like `warn_about`, for the `text/` scores of a text other than the run's own; the run may not exist here."""
    run = Run(runs / name)
    if (run.folder / "run.json").is_file():
        return warn_about(run.info, run.status, scores, ["text"])
    return warning(name, scores, vocabulary_size, {}, splits=["text"])


def warning(
    name: str,
    metrics: Mapping[str, float],
    vocabulary_size: int,
    settings: Mapping[str, Any],
    *,
    splits: Sequence[str] = SPLITS,
    counted: str | None = None,
) -> str | None:
    """Like `warn_about`, for metrics such as `val/loss`. `counted` is the architecture of a count-based model."""
    losses = {split: loss for split in splits if (loss := _loss(metrics, split)) is not None}
    if set(losses) > {"train"}:
        losses.pop("train", None)  # recorded at the last step, which may be far from the best checkpoint
    worse = [split for split, loss in losses.items() if is_worse_than_guessing(loss, vocabulary_size)]
    if not worse:
        return None
    split, guess = worse[0], guessing_loss(vocabulary_size)
    return (
        f"{name} is worse than guessing: its {split} loss is {_amount(losses[split])}, and guessing among "
        f"{vocabulary_size:,} tokens has {guess:.3f}; the run is kept; "
        f"{_advice(metrics, vocabulary_size, settings, counted)}"
    )


def _loss(metrics: Mapping[str, float], split: str) -> float | None:
    """The loss of a split; infinite if the model gives some of its tokens probability zero."""
    return math.inf if metrics.get(f"{split}/impossible_tokens") else metrics.get(f"{split}/loss")


def _amount(loss: float) -> str:
    return "infinite" if math.isinf(loss) else f"{loss:,.3f} nats per token"


def _advice(
    metrics: Mapping[str, float], vocabulary_size: int, settings: Mapping[str, Any], counted: str | None
) -> str:
    known = [loss for split in ("train", "val", "test") if (loss := _loss(metrics, split)) is not None]
    if known and min(known) < guessing_loss(vocabulary_size) / MARGIN:
        return "it did learn other text, so this text is unlike its training text: train it on more text like this"
    if counted is not None:
        return f"change the settings of its architecture, which `charpipe plugins info {counted}` lists"
    rate, clip = (settings.get(f"train.{name}") for name in ("learning_rate", "clip"))
    if not isinstance(rate, int | float) or not isinstance(clip, int | float):
        return "train it again with a smaller train.learning_rate or train.clip"
    usual = TrainConfig.model_fields["learning_rate"].default
    smaller = usual if rate > usual else rate / 10
    if not 0 < clip <= 1:
        return (
            f"train it again with --set train.learning_rate={smaller:g} --set train.clip=1 "
            f"(they were {rate:g} and {clip:g})"
        )
    return (
        f"train it again with --set train.learning_rate={smaller:g} (it was {rate:g}), and if that is not enough "
        f"with a train.clip below {clip:g}"
    )
