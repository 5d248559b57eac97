"""The search by Optuna: what is asked, told and found again after an interruption."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, get_args

import pytest

from charpipe.comparison import Row
from charpipe.errors import CharpipeError
from charpipe.sweeps.space import Dimension
from charpipe.sweeps.study import Study, open_study
from charpipe.sweeps.sweep import Pruner, Sampler, Sweep, ranked

SPACE = (
    Dimension("train.learning_rate", low=1e-3, high=1e-1, log=True),
    Dimension("architectures.rnn.hidden_size", low=4, high=16, whole=True),
    Dimension("train.optimizer", ("adam", "sgd")),
)
GRID = (Dimension("train.clip", (1.0, 2.0)), Dimension("architectures.rnn.layers", low=1, high=2, whole=True))


def opened(
    folder: Path,
    sampler: Any = "tpe",
    pruner: Any = "none",
    space: tuple[Dimension, ...] = SPACE,
    storage: str | None = None,
) -> AbstractContextManager[Study]:
    sweep = Sweep("text-rnn-7f3a1c", "text", "rnn", space, 9, sampler, pruner, 1, storage)
    return open_study(sweep, folder, folder)


def row(loss: float | None = None, error: str = "") -> Row:
    return Row("trial", 1, "a-run", steps=3, val_loss=loss, val_bits=loss, error=error)


@pytest.mark.parametrize("sampler", sorted(set(get_args(Sampler)) - {"grid"}))
def test_a_sampler_chooses_from_the_space_and_never_begins_again(tmp_path: Path, sampler: str) -> None:
    asked = []
    for _ in range(2):  # the second time as another command does
        with opened(tmp_path, sampler) as study:
            for _ in range(3):
                number, settings = study.ask()
                asked.append(settings)
                study.tell(number, row(float(number)), pruned=False)
    assert len({tuple(settings.items()) for settings in asked}) == 6
    for settings in asked:
        assert 1e-3 <= settings["train.learning_rate"] <= 1e-1
        assert settings["architectures.rnn.hidden_size"] in range(4, 17)
        assert settings["train.optimizer"] in ("adam", "sgd")
    with opened(tmp_path, sampler) as study:
        assert study.done == 6
        assert [trial.val_loss for trial in study.trials()] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_an_interrupted_trial_is_asked_for_again_and_a_finished_one_is_not(tmp_path: Path) -> None:
    with opened(tmp_path, "random") as study:
        first, _ = study.ask()
        study.tell(first, row(1.5), pruned=False)
        _, interrupted = study.ask()
        _, other = study.ask()
    with opened(tmp_path, "random") as study:
        assert study.repeat_interrupted() == 2
        assert study.repeat_interrupted() == 0
        assert study.done == 1
        numbers = study.next_numbers(3)
        asked = [study.ask() for _ in range(3)]
        assert [number for number, _ in asked] == numbers
        assert [settings for _, settings in asked[:2]] == [interrupted, other]
        assert asked[2][1] not in (interrupted, other)
        assert [trial.number for trial in study.trials()] == [first]


def test_a_grid_is_every_point_once(tmp_path: Path) -> None:
    asked = []
    for _ in range(2):
        with opened(tmp_path, "grid", space=GRID) as study:
            study.queue_grid()
            for _ in range(2):
                number, settings = study.ask()
                asked.append((settings["train.clip"], settings["architectures.rnn.layers"]))
                study.tell(number, row(1.0), pruned=False)
    assert sorted(asked) == [(1.0, 1), (1.0, 2), (2.0, 1), (2.0, 2)]


@pytest.mark.parametrize("pruner", get_args(Pruner))
def test_a_pruner_ends_hopeless_trials_only(tmp_path: Path, pruner: str) -> None:
    with opened(tmp_path, "random", pruner) as study:
        pruned: dict[int, bool] = {}
        for trial in range(9):
            hopeless = trial >= 6
            number, _ = study.ask()
            ended = False
            for position in range(1, 10):
                loss = 9.0 if hopeless else 2.0 - position / 10 - trial / 100
                ended = ended or study.should_prune(number, position, loss)
            study.tell(number, row(9.0 if hopeless else 1.0 - trial / 100), pruned=ended)
            pruned[number] = ended
    assert any(ended for number, ended in pruned.items() if number >= 6) == (pruner != "none")
    if pruner in ("none", "median"):
        assert not any(ended for number, ended in pruned.items() if number < 6)
    with opened(tmp_path, "random", pruner) as study:
        states = {trial.number: trial.state for trial in study.trials()}
    assert states == {number: "pruned" if ended else "complete" for number, ended in pruned.items()}


def test_failed_trials_are_kept_and_ranked_last(tmp_path: Path) -> None:
    with opened(tmp_path) as study:
        for loss, error in ((3.0, ""), (None, "the loss is not a number"), (1.0, ""), (None, "")):
            number, _ = study.ask()
            study.tell(number, row(loss, error), pruned=False)
        number, _ = study.ask()
        study.should_prune(number, 1, 2.5)
        study.tell(number, row(), pruned=True)
        assert study.done == 5
        found = ranked(study.trials())
    assert [(trial.number, trial.state) for trial in found] == [
        (2, "complete"),
        (0, "complete"),
        (4, "pruned"),
        (1, "failed"),
        (3, "failed"),
    ]
    assert [trial.error for trial in found[3:]] == ["the loss is not a number", "it has no validation loss"]
    assert (found[0].run, found[0].val_bits, found[2].val_loss) == ("a-run", 1.0, 2.5)


def test_importance_finds_the_setting_that_matters(tmp_path: Path) -> None:
    with opened(tmp_path, "random") as study:
        assert study.importances() == {}
        for _ in range(30):
            number, settings = study.ask()
            study.tell(number, row(settings["train.learning_rate"]), pruned=False)
        importances = study.importances()
    assert max(importances, key=lambda key: importances[key]) == "train.learning_rate"
    assert sum(importances.values()) == pytest.approx(1)


def test_a_database_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    missing = opened(tmp_path, storage=f"sqlite:///{tmp_path}/missing/optuna.db")
    with pytest.raises(CharpipeError, match=r"Optuna cannot use .*; no trial was started"), missing:
        pass
    (tmp_path / "optuna.db").write_text("this is no database")
    with pytest.raises(CharpipeError, match="no trial was started"), opened(tmp_path):
        pass


def test_a_workspace_with_any_name_has_a_database(tmp_path: Path) -> None:
    folder = tmp_path / "what? 100 % #1 Prüf'stand"
    folder.mkdir()
    with opened(folder) as study:
        study.ask()
    assert (folder / "optuna.db").is_file()
