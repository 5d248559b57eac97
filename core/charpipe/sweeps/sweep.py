"""What a sweep is: its space, how it searches, and its name; and what its trials came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from charpipe.plugin import PipelineResult
from charpipe.sweeps.space import Dimension

Sampler = Literal["tpe", "random", "gp", "grid"]
Pruner = Literal["none", "median", "hyperband", "halving"]


@dataclass(frozen=True)
class Sweep:
    """A resolved sweep: `name` is the same for the same request on the same content, whatever `trials` is."""

    name: str
    corpus: str
    arch: str
    space: tuple[Dimension, ...]
    trials: int
    sampler: Sampler
    pruner: Pruner
    seed: int
    storage: str | None = None
    """A database URL of Optuna's; None: a file in the sweep's folder."""


@dataclass(frozen=True)
class SweepTrial:
    """A trial: `state` is "complete", "pruned" or "failed"; the losses are nats per token of the validation split, that
    of a pruned trial the last one measured."""

    number: int
    state: str
    settings: Mapping[str, Any]
    val_loss: float | None = None
    val_bits: float | None = None
    run: str = ""
    parameters: int | None = None
    steps: int | None = None
    seconds: float | None = None
    error: str = ""


@dataclass(frozen=True)
class SweepResult(PipelineResult):
    """The result of a sweep: its name; the folder with `trials.csv` and `sweep.html` (None in a dry run); the trials,
    best first; how important each setting is, in shares of 1; and the command that trains the best one."""

    sweep: str
    corpus: str
    folder: Path | None = None
    trials: tuple[SweepTrial, ...] = ()
    importances: Mapping[str, float] = field(default_factory=dict)
    command: str = ""

    @property
    def best(self) -> SweepTrial | None:
        """The trial with the lowest validation loss."""
        return self.trials[0] if self.trials and self.trials[0].state == "complete" else None

    def to_json(self) -> dict[str, Any]:
        if self.folder is None:
            return {"sweep": self.sweep, "corpus": self.corpus}
        return asdict(self) | {"folder": str(self.folder), "trials": [asdict(trial) for trial in self.trials]}


def ranked(trials: Sequence[SweepTrial]) -> list[SweepTrial]:
    """Complete trials by their loss, then pruned ones by theirs, then failed ones."""
    order = {"complete": 0, "pruned": 1, "failed": 2}
    return sorted(
        trials,
        key=lambda trial: (
            order[trial.state],
            float("inf") if trial.val_loss is None else trial.val_loss,
            trial.number,
        ),
    )
