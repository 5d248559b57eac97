"""The settings of training. The defaults come from experiments (`benchmarks/`); docs and `config show` list them."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from charpipe.errors import UsageError
from charpipe.plugin import Options

FREE = frozenset(
    [
        "steps",
        "budget",
        "max_epochs",
        "patience",
        "evaluate_every",
        "sample_every",
        "checkpoint_every",
        "keep_checkpoints",
        "device",
        "precision",
        "engine",
        "deterministic",
    ]
)
"""Settings that may change when a run is resumed."""
MAX_COUNT = 10**12
"""Of anything that is counted in steps or passes: more than any machine makes."""
MAX_SHARDS = 1024
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BUDGET = re.compile(r"(?:\d+(?:\.\d+)?\s*[smhd]?\s*)+")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")


def parse_budget(text: str) -> float:
    """Seconds in a duration such as `90s`, `2m`, `1h30m` or `45`. Raises UsageError on anything else."""
    if not _BUDGET.fullmatch(text.strip()):
        raise UsageError(f"{text!r} is not a duration; write 90s, 2m, 1h or 1h30m")
    seconds = sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))
    if not 0 < seconds <= 366 * UNITS["d"]:
        raise UsageError(f"{text!r} is not a usable duration; write 90s, 2m, 1h or 1h30m")
    return seconds


def shown_budget(text: str) -> str:
    """A duration with the unit of its last number, which may be left out for seconds."""
    return f"{text.strip()}s" if text.strip()[-1:].isdecimal() else text


class TrainConfig(Options):
    """The `[train]` table."""

    # Data
    batch_size: int = Field(32, ge=1, le=65536, description="streams of the corpus read side by side")
    window: int = Field(
        64, ge=1, le=65536, description="tokens between truncations of backpropagation through time"
    )
    shards: int = Field(
        1,
        ge=1,
        le=MAX_SHARDS,
        description="equal parts of the batch, each with its own gradient; several workers divide them among "
        "themselves, and any number of workers gives the same model",
    )

    # Length
    steps: int | None = Field(
        None, ge=0, le=MAX_COUNT, description="updates to make; unset: as many as the budget allows"
    )
    budget: str = Field("2m", description="time to train for (90s, 2m, 1h), where steps is unset")
    max_epochs: float = Field(
        1000.0,
        gt=0,
        le=MAX_COUNT,
        allow_inf_nan=False,
        description="passes over the corpus at which a budget counts as spent",
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=MAX_COUNT,
        description="evaluations without a better validation score after which training ends",
    )

    # Optimizer
    optimizer: Literal["sgd", "rmsprop", "adagrad", "adam", "adamw"] = Field(
        "adamw", description="update rule"
    )
    learning_rate: float = Field(6e-3, gt=0, le=100, allow_inf_nan=False, description="maximum learning rate")
    schedule: Literal["constant", "linear", "cosine", "one-cycle", "by-epoch"] = Field(
        "cosine",
        description="schedule of the learning rate: one-cycle rises and falls by a cosine, momentum the other way; "
        "by-epoch is char-rnn's",
    )
    final_learning_rate: float = Field(
        0.0, ge=0, le=1, description="final learning rate, as a fraction of the maximum"
    )
    warmup: float = Field(
        0.05, ge=0, le=1, description="fraction of the steps in which the learning rate rises from 0"
    )
    epoch_decay: float = Field(
        0.97, gt=0, le=1, description="by-epoch: factor of the learning rate after each pass over the corpus"
    )
    epoch_decay_after: float = Field(
        10, ge=0, le=1e6, description="by-epoch: passes over the corpus before the first decay"
    )
    loss: Literal["mean", "sum"] = Field(
        "mean",
        description="loss to differentiate: the mean over the window, or, as in char-rnn, the sum over it (of the "
        "mean over the streams); scores are always means",
    )
    betas: tuple[float, float] = Field((0.9, 0.99), description="adam, adamw: decay of the two moments")
    decay: float = Field(0.95, ge=0, lt=1, description="rmsprop: decay of the squared gradient")
    momentum: float = Field(0.0, ge=0, lt=1, description="sgd, rmsprop: momentum")
    weight_decay: float = Field(0.0, ge=0, le=10, description="decay of the weight matrices")
    clip: float = Field(
        1.0, ge=0, allow_inf_nan=False, description="clip the gradient at this norm or value; 0: no clipping"
    )
    clip_by: Literal["norm", "value"] = Field(
        "norm", description="clip the norm of the whole gradient, or the value of each element"
    )
    average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of a running mean of the weights, which is then what is scored, sampled and kept (0.999); "
        "0: the weights themselves",
    )

    # Machine
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, cuda, cuda:N or mps"
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="of the products; weights and carried state are always float32"
    )
    engine: Literal["auto", "fast", "plain", "cuda-graphs"] = Field(
        "auto",
        description="fast: charpipe's own, for recurrent cells on a CPU; plain: PyTorch's layers; cuda-graphs: a "
        "captured update on CUDA, unverified until benchmarks/results says otherwise, and never taken by auto",
    )
    deterministic: bool = Field(
        False,
        description="on CUDA, the same numbers bit for bit every time, at some cost in speed; always so on a CPU",
    )
    seed: int = Field(
        1, ge=0, lt=2**63, description="of the first weights, dropout and the order of the data"
    )

    # Evaluations, samples, checkpoints
    evaluate_every: int | None = Field(
        None,
        ge=1,
        le=MAX_COUNT,
        description="steps between evaluations; unset: twenty in a run, 1000 at most",
    )
    sample_every: int | None = Field(
        None, ge=1, le=MAX_COUNT, description="steps between samples; unset: with each evaluation"
    )
    checkpoint_every: int | None = Field(
        None, ge=1, le=MAX_COUNT, description="steps between checkpoints; unset: with each evaluation"
    )
    keep_checkpoints: int = Field(
        2, ge=1, le=MAX_COUNT, description="latest checkpoints to keep; the best one is always kept"
    )

    def identity(self, exclude: Collection[str] = ()) -> dict[str, Any]:
        """The settings as JSON, without those in `exclude`, for the digest of a training. `shards` is left out where it
        is 1, so that trainings of releases without it keep their digest."""
        found = self.model_dump(mode="json", exclude=set(exclude))
        if self.shards == 1:
            del found["shards"]
        return found

    @field_validator("shards")
    @classmethod
    def _shards_divide_the_batch(cls, value: int, info: ValidationInfo) -> int:
        batch_size = info.data.get("batch_size")
        if batch_size is not None and batch_size % value:
            raise ValueError(f"the shards have equal size, so it must divide train.batch_size, {batch_size}")
        return value

    @field_validator("budget")
    @classmethod
    def _budget_is_a_duration(cls, value: str) -> str:
        try:
            parse_budget(value)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("betas")
    @classmethod
    def _betas_are_decays(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in value):
            raise ValueError("each must be at least 0 and below 1")
        return value
