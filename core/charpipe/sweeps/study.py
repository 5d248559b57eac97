"""The search by Optuna: a study in a database, which is asked for settings and told what they came to."""

from __future__ import annotations

import itertools
import logging
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charpipe.comparison import Row
from charpipe.errors import CharpipeError
from charpipe.store.secrets import redact
from charpipe.store.sqlite import database_url
from charpipe.sweeps.space import Dimension
from charpipe.sweeps.sweep import Sweep, SweepTrial

if TYPE_CHECKING:
    from optuna import Study as OptunaStudy
    from optuna.distributions import BaseDistribution
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as OptunaTrial

DATABASE = "optuna.db"
ROW, OWNER, REPEATED, ERROR = "row", "workspace", "repeated", "error"
"""Attributes of Optuna's trials."""
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
BUSY_SECONDS = 60


class Study:
    """An Optuna study of one sweep. `owner` names the workspace whose trials this process may take up again."""

    def __init__(self, sweep: Sweep, study: OptunaStudy, owner: str) -> None:
        self._sweep, self._study, self._owner = sweep, study, owner
        self._distributions = {one.key: distribution(one) for one in sweep.space}
        self._asked: dict[int, OptunaTrial] = {}

    def repeat_interrupted(self) -> int:
        """Queue the trials that a stopped or killed process of this workspace left, with the same settings; returns how
        many."""
        from optuna.trial import TrialState

        left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        mine = [one for one in left if one.user_attrs.get(OWNER) in (self._owner, None)]
        for one in mine:
            self._study._storage.set_trial_user_attr(one._trial_id, REPEATED, True)
            self._study.tell(one.number, state=TrialState.FAIL)
            self._study.enqueue_trial(one.params)
        return len(mine)

    def queue_grid(self) -> None:
        """Queue every point of the space that is not in the study yet."""
        points = [dimension.points() for dimension in self._sweep.space]
        keys = [dimension.key for dimension in self._sweep.space]
        for values in itertools.product(*points):
            self._study.enqueue_trial(dict(zip(keys, values, strict=True)), skip_if_exists=True)

    def ask(self) -> tuple[int, dict[str, Any]]:
        """The number and the settings of the next trial."""
        trial = self._study.ask(self._distributions)
        trial.set_user_attr(OWNER, self._owner)
        self._asked[trial.number] = trial
        return trial.number, dict(trial.params)

    def should_prune(self, number: int, position: int, loss: float) -> bool:
        """Report a validation loss of a trial; whether to end it."""
        trial = self._asked[number]
        trial.report(loss, position)
        return bool(trial.should_prune())

    def tell(self, number: int, row: Row, pruned: bool) -> None:
        """Record what a trial came to."""
        from optuna.trial import TrialState

        trial = self._asked.pop(number)
        trial.set_user_attr(ROW, asdict(row))
        if pruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        elif row.error or row.val_loss is None:
            trial.set_user_attr(ERROR, row.error or "it has no validation loss")
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, row.val_loss)

    @property
    def done(self) -> int:
        """How many trials have ended, or are made by another process."""
        return len(self._counted()) + len(self._elsewhere())

    def next_numbers(self, count: int) -> list[int]:
        """The numbers that the next trials will have: those that are queued, then new ones."""
        from optuna.trial import TrialState

        trials = self._study.get_trials(deepcopy=False)
        queued = [one.number for one in trials if one.state == TrialState.WAITING]
        return [*queued, *range(len(trials), len(trials) + count)][:count]

    def trials(self) -> list[SweepTrial]:
        """What the trials came to."""
        return [_outcome(one) for one in self._counted()]

    def importances(self) -> Mapping[str, float]:
        """The share of each setting in the differences between good trials and others; empty where that is unknown."""
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
        from optuna.trial import TrialState

        complete = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len({one.value for one in complete}) < 2:
            return {}
        try:
            found = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())
        except (ValueError, RuntimeError):  # too few trials, or settings that never differed
            return {}
        return {} if not sum(found.values()) else dict(found)

    def _counted(self) -> list[FrozenTrial]:
        trials = self._study.get_trials(deepcopy=False)
        return [one for one in trials if one.state.is_finished() and not one.user_attrs.get(REPEATED)]

    def _elsewhere(self) -> list[FrozenTrial]:
        from optuna.trial import TrialState

        running = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [one for one in running if one.user_attrs.get(OWNER) not in (self._owner, None)]


def _outcome(trial: FrozenTrial) -> SweepTrial:
    row = trial.user_attrs.get(ROW, {})
    losses = trial.intermediate_values
    loss = trial.value if trial.value is not None else losses[max(losses)] if losses else None
    return SweepTrial(
        trial.number,
        STATES[trial.state.name],
        dict(trial.params),
        loss,
        row.get("val_bits"),
        row.get("run", ""),
        row.get("parameters"),
        row.get("steps"),
        row.get("seconds"),
        trial.user_attrs.get(ERROR, ""),
    )


@contextmanager
def open_study(sweep: Sweep, folder: Path, workspace: Path) -> Iterator[Study]:
    """The sweep's study, made if there is none. Raises CharpipeError if its database cannot be used."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name in ("alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    own = sweep.storage is None
    url = database_url(folder / DATABASE) if sweep.storage is None else sweep.storage
    waits = {"connect_args": {"timeout": BUSY_SECONDS}} if own else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            storage = optuna.storages.RDBStorage(url, engine_kwargs=waits)
            study = optuna.create_study(
                storage=storage,
                study_name=sweep.name,
                sampler=_sampler(sweep, 0),
                pruner=_pruner(sweep),
                load_if_exists=True,
            )
        except Exception as error:
            raise CharpipeError(
                f"Optuna cannot use the database of the sweep at {redact(url)} "
                f"({redact(str(error).splitlines()[0])[:200]}); no trial was started"
            ) from error
        # a sampler with the same seed would begin with the same settings again
        study.sampler = _sampler(sweep, len(study.get_trials(deepcopy=False)))
        try:
            yield Study(sweep, study, f"{socket.gethostname()}:{os.path.realpath(workspace)}")
        finally:
            storage.remove_session()
            storage.engine.dispose()


def distribution(dimension: Dimension) -> BaseDistribution:
    """A dimension as Optuna has it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.choices:
        return CategoricalDistribution(dimension.choices)
    if dimension.whole:
        return IntDistribution(
            int(dimension.low), int(dimension.high), log=dimension.log, step=int(dimension.step or 1)
        )
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def _sampler(sweep: Sweep, trials: int) -> BaseSampler:
    from optuna import samplers

    seed = (sweep.seed + trials) % 2**32
    if sweep.sampler == "tpe":
        return samplers.TPESampler(seed=seed)
    if sweep.sampler == "gp":
        return samplers.GPSampler(seed=seed)
    return samplers.RandomSampler(seed=seed)  # a grid's points are queued


def _pruner(sweep: Sweep) -> BasePruner:
    from optuna import pruners

    if sweep.pruner == "median":
        return pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0)
    if sweep.pruner == "hyperband":
        return pruners.HyperbandPruner()
    if sweep.pruner == "halving":
        return pruners.SuccessiveHalvingPruner()
    return pruners.NopPruner()
