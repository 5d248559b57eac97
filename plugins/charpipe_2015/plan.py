"""What a reproduction trains: the experiments, and the budget divided over their models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from charpipe.config import parse_budget
from charpipe.errors import UsageError, near_match
from charpipe.stages import Context, stage
from charpipe.store import digest_of_json
from charpipe_2015.experiments import Experiment, experiments


@dataclass(frozen=True)
class Share:
    """The part of a reproduction for one experiment: its text, and the training time per model."""

    experiment: Experiment
    path: str | None
    """The file or folder given for its text, if any."""
    there: bool
    """Whether the catalogue has the text, or a path was given."""
    budget: str | None
    """The budget of each neural model; None if the number of steps is fixed."""
    scaled_to: str

    @property
    def name(self) -> str:
        """`prepare war_and_peace`."""
        return f"prepare {self.experiment.corpus}"


@dataclass(frozen=True)
class Reproduction:
    """The resolved plan of a reproduction: `name` is the same for the same request."""

    name: str
    shares: tuple[Share, ...]
    scaled_to: str


@stage("divide", "Choose the experiments, and divide the budget over them.")
def divide(
    context: Context,
    sources: Sequence[str],
    sizes: Sequence[int],
    layers: Sequence[int],
    corpora: Mapping[str, str],
) -> Reproduction:
    """The experiments, with the budget divided evenly over their models; unavailable texts get no share.

    Raises UsageError for a corpus that no experiment has.
    """
    chosen = experiments(sources, sizes, layers)
    _check_copies(chosen, corpora)
    there = [one.corpus in corpora or one.corpus in context.config.corpora for one in chosen]
    steps = context.config.train.steps if "train.steps" in requested(context) else None
    count = sum(
        sum(trial.size is not None for trial in one.trials)
        for one, is_there in zip(chosen, there, strict=True)
        if is_there
    )
    total = parse_budget(context.config.train.budget)
    budget = f"{total / max(count, 1):.2f}s" if steps is None else None
    each = f"{steps:,} steps" if budget is None else budget.removesuffix("s") + " s"
    whole = f"{each} each" if budget is None else _minutes(total)
    shares = tuple(
        Share(one, corpora.get(one.corpus), is_there, budget, each)
        for one, is_there in zip(chosen, there, strict=True)
    )
    digest = digest_of_json({"shares": [dataclasses.asdict(one) for one in shares], "steps": steps})
    return Reproduction(f"reproduce-2015-{digest[:6]}", shares, whole)


def requested(context: Context) -> set[str]:
    """The settings given for this command: they override those of 2015."""
    return {
        key
        for key, origin in context.resolved.origins.items()
        if origin in ("flag", "--set") or origin.startswith(("preset ", "[pipelines."))
    }


def mlflow_experiment(context: Context) -> str:
    """The MLflow experiment for the whole reproduction."""
    return context.config.tracking.experiment or "reproduce-2015"


def _check_copies(chosen: Sequence[Experiment], corpora: Mapping[str, str]) -> None:
    names = [one.corpus for one in chosen]
    for name, path in corpora.items():
        if name not in names:
            raise UsageError(f"no experiment has a corpus {name!r}{near_match(name, names)}")
        if "://" not in path and not Path(path).exists():
            raise UsageError(f"--corpora {name}={path}: there is no such file or folder")


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.2g} minute{'' if minutes == 1 else 's'}" if minutes < 100 else f"{minutes:.0f} minutes"
