from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charpipe.config import load_config
from charpipe.config.settings.training import TrainConfig, parse_budget
from charpipe.errors import Incomplete, InterruptedRun, UsageError
from charpipe.events import StageFailed, TrainingStarted
from charpipe.plugins.registry import Registry
from charpipe.runs import list_runs
from charpipe.stages import Context
from charpipe.workspace import Workspace
from charpipe_2015.experiments import CHAR_RNN, LAYERS, SIZES, Experiment, experiments
from charpipe_2015.plan import Reproduction, divide
from charpipe_2015.preparation import prepare
from charpipe_2015.published import BEST, FIGURES
from charpipe_2015.results import tabulate
from charpipe_2015.table import Result, caveats, cells_of, head, result, with_best, write
from charpipe_2015.training import reproduce, results_of

TEXT = "Well, Prince, so Genoa and Lucca are now just family estates of the Buonapartes.\n" * 40
HERE = 4
PUBLISHED = 5


def the_grid() -> Experiment:
    return experiments(["paper"])[0]


def test_the_grid_is_every_architecture_depth_and_size_and_the_n_gram() -> None:
    titles = [trial.title for trial in the_grid().trials]
    assert len(titles) == len(set(titles)) == 3 * len(SIZES) * len(LAYERS) + 1
    assert {"lstm 1x64", "rnn 3x512", "gru 2x256", "ngram"} <= set(titles)


def test_a_smaller_grid_and_one_source_alone() -> None:
    assert [trial.title for trial in experiments(["paper"], [64], [2])[0].trials][:3] == [
        "lstm 2x64",
        "rnn 2x64",
        "gru 2x64",
    ]
    assert {one.source for one in experiments(["blog"])} == {"blog"}
    assert {"tiny_shakespeare", "linux_src", "names", "paul_graham", "wikipedia", "algebraic_geometry"} == {
        one.corpus for one in experiments(["blog"])
    }


def test_all_settings_are_settings() -> None:
    registry = Registry()
    for one in experiments(["paper", "blog"]):
        TrainConfig(**one.train)
        for arch, table in one.tables.items():
            registry.architecture(arch).config(**table)


def test_what_the_presets_hold_too_is_the_same() -> None:
    presets = load_config().config.presets
    shared = {key: value for key, value in presets["char-rnn"]["train"].items() if key in CHAR_RNN}
    assert shared == {key: CHAR_RNN[key] for key in shared}
    paper = the_grid()
    theirs = presets["paper-2015"]
    assert {key: paper.train[key] for key in theirs["train"] if key in paper.train} == {
        key: value for key, value in theirs["train"].items() if key in paper.train
    }
    for arch in ("lstm", "rnn", "gru"):
        for key, value in paper.tables[arch].items():
            assert theirs["architectures"][arch][key] == value


def test_no_cell_of_the_grid_has_a_published_figure() -> None:
    grid = the_grid()
    for trial in grid.trials[:-1]:
        one = result(grid, trial.title, "test/loss", here=1.5)
        assert one.published is None
        assert cells_of(one)[PUBLISHED] == ""


def test_every_published_figure_belongs_to_a_row_and_says_where_it_is_from() -> None:
    rows = {(one.source, one.corpus): one for one in experiments(["paper", "blog"])}
    for (source, corpus, model, quantity), figure in FIGURES.items():
        experiment = rows[source, corpus]
        assert quantity in experiment.quantities
        assert model in {BEST, "ngram order 20"} | {trial.title for trial in experiment.trials}
        assert "2015" in figure.source


def test_figures_from_here_and_published_ones_never_share_a_column() -> None:
    columns = head("2 minutes")
    assert columns[HERE] == "here, scaled to 2 minutes"
    assert columns[PUBLISHED] == "published"
    mine = cells_of(result(the_grid(), "lstm 1x64", "test/loss", here=3.25))
    theirs = cells_of(result(the_grid(), BEST, "test/loss", reason="nothing"))
    assert (mine[HERE], mine[PUBLISHED]) == ("3.2500", "")
    assert (theirs[HERE], theirs[PUBLISHED]) == ("", "1.077")


def test_the_best_of_a_grid_is_a_learnt_one() -> None:
    found = [
        result(the_grid(), "lstm 1x64", "test/loss", here=1.9, run="a"),
        result(the_grid(), "gru 1x64", "test/loss", here=1.7, run="b"),
        result(the_grid(), "rnn 1x64", "test/loss", reason="failed", failed=True),
        result(the_grid(), "ngram order 20", "test/loss", here=1.2, run="c"),
    ]
    best = with_best(the_grid(), found)[-1]
    assert (best.model, best.here, best.notes, best.run) == (BEST, 1.7, "gru 1x64", "b")
    none = with_best(the_grid(), found[2:3])[-1]
    assert none.here is None
    assert none.published == 1.077


def test_the_files_hold_both_columns_and_all_that_is_known(tmp_path: Path) -> None:
    rows = [result(the_grid(), "ngram order 20", "test/loss", here=1.25, steps=1)]
    table, values = write(tmp_path / "new", rows)
    with table.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["here"], row["published"], row["steps"]) == ("1.25", "1.195", "1")
    assert Result(**json.loads(values.read_text("utf-8"))[0]) == rows[0]
    assert caveats(rows) == ["paper: War and Peace: dropout, chosen for each model there, is none here"]


@pytest.fixture
def context(project: Path, heard: Any) -> Callable[..., Context]:
    def open_one(**settings: Any) -> Context:
        given = {"tracking.enabled": False} | {
            key.replace("__", "."): value for key, value in settings.items()
        }
        resolved = load_config(pipeline="reproduce-2015", settings=given)
        return Context(Workspace(project / ".charpipe"), resolved, Registry(), emit=heard)

    return open_one


@pytest.fixture
def copy(project: Path) -> str:
    path = project / "warpeace.txt"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    return str(path)


def carried_out(context: Context, planned: Reproduction) -> list[Result]:
    rows: list[Result] = []
    for share in planned.shares:
        prepared = prepare(context, share)
        found = [one for model in prepared.models for one in reproduce(context, model, planned.name)]
        rows += results_of(prepared, found)
    return rows


def test_the_budget_is_divided_over_the_models_of_texts_that_there_are(
    context: Callable[..., Context],
) -> None:
    planned = divide(context(train__budget="3m"), ["paper", "blog"], [64, 128], [1], {})
    there = [share for share in planned.shares if share.there]
    assert {one.experiment.corpus for one in there} == {
        "war_and_peace",
        "tiny_shakespeare",
        "linux_src",
        "names",
    }
    models = sum(trial.size is not None for one in there for trial in one.experiment.trials)
    assert models == 2 * 3 + 3
    assert {parse_budget(str(one.budget)) for one in there} == {180 / models}
    assert planned.scaled_to == "3 minutes"


def test_a_fixed_number_of_steps_is_each_models(context: Callable[..., Context]) -> None:
    planned = divide(context(train__steps=7), ["paper"], [64], [1], {})
    assert planned.scaled_to == "7 steps each"
    assert {share.budget for share in planned.shares} == {None}


def test_unknown_corpora_and_absent_files_are_refused(context: Callable[..., Context], copy: str) -> None:
    with pytest.raises(UsageError, match="did you mean 'war_and_peace'"):
        divide(context(), ["paper"], [64], [1], {"war_and_piece": copy})
    with pytest.raises(UsageError, match="no such file"):
        divide(context(), ["paper"], [64], [1], {"war_and_peace": "gone.txt"})


def test_a_small_one_trains_on_bytes_and_an_absent_text_is_a_row(
    context: Callable[..., Context], copy: str, heard: Any
) -> None:
    one = context(train__steps=2)
    # not the catalogue's war_and_peace, whose file is known by its digest
    planned = divide(one, ["paper"], [8], [1], {"linux_kernel": copy})
    war, linux = planned.shares
    absent = prepare(one, replaced(war))
    assert results_of(absent, [])[0].reason.startswith("not in the catalogue")
    prepared = prepare(one, linux)
    assert prepared.tokens is not None
    assert sum(prepared.tokens.facts["tokens"].values()) == len(Path(copy).read_bytes())
    rows = carried_out(one, Reproduction(planned.name, (linux,), planned.scaled_to))
    assert [row.model for row in rows] == ["lstm 1x8", "rnn 1x8", "gru 1x8", BEST]
    assert all(row.here is not None and row.steps == 2 for row in rows)
    assert {row.caveat.rpartition("; ")[2] for row in rows} == {"a copy, its digest not checked"}
    settings = list_runs(one.workspace.runs)[0].info.settings
    assert (settings["train.optimizer"], settings["train.window"], settings["train.learning_rate"]) == (
        "rmsprop",
        100,
        2e-3,
    )
    trained = len(heard.of(TrainingStarted))
    assert carried_out(one, Reproduction(planned.name, (linux,), planned.scaled_to)) == rows
    assert len(heard.of(TrainingStarted)) == trained == 3


def replaced(share: Any) -> Any:
    import dataclasses

    return dataclasses.replace(share, there=False)


def test_another_file_in_the_place_of_the_papers_fails_and_the_rest_goes_on(
    context: Callable[..., Context], copy: str, heard: Any
) -> None:
    one = context(train__steps=2)
    planned = divide(one, ["paper"], [8], [1], {"war_and_peace": copy, "linux_kernel": copy})
    rows = carried_out(one, planned)
    failed = [row for row in rows if row.failed]
    assert [row.corpus for row in failed] == ["war_and_peace"]
    assert "not the stated" in failed[0].reason
    assert len(heard.of(StageFailed)) == 1
    with pytest.raises(Incomplete, match="1 row failed") as caught:
        tabulate(one, planned, rows)
    assert len(caught.value.result.results) == len(rows)
    folder = Path(caught.value.result.folder)
    assert sorted(path.name for path in folder.iterdir()) == ["reproduction.csv", "reproduction.json"]


def test_what_is_asked_for_wins_over_the_settings_of_2015(context: Callable[..., Context], copy: str) -> None:
    one = context(train__steps=1, train__learning_rate=1e-3, architectures__rnn__dropout=0.25)
    planned = divide(one, ["paper"], [8], [1], {"linux_kernel": copy})
    prepared = prepare(one, planned.shares[1])
    reproduce(one, prepared.models[1], planned.name)
    info = list_runs(one.workspace.runs)[0].info
    assert info.settings["train.learning_rate"] == 1e-3
    assert info.architecture_config["dropout"] == 0.25
    assert info.settings["train.decay"] == 0.95


def test_a_dry_run_says_what_would_be_and_does_nothing(context: Callable[..., Context], copy: str) -> None:
    one = context(train__steps=2)
    planned = divide(one, ["paper"], [8], [1], {"linux_kernel": copy})
    dry = replace(context(train__steps=2), dry_run=True)
    (row,) = results_of(prepare(dry, planned.shares[1]), [])
    assert "would run" in row.reason
    prepare(one, planned.shares[1])
    prepared = prepare(dry, planned.shares[1])
    (row,) = reproduce(dry, prepared.models[0], planned.name)
    assert row.reason == "would be trained"
    assert tabulate(dry, planned, [row]).folder == ""
    assert list_runs(one.workspace.runs) == []


def test_a_wish_to_stop_stops(context: Callable[..., Context], copy: str) -> None:
    one = context(train__steps=2)
    planned = divide(one, ["paper"], [8], [1], {"linux_kernel": copy})
    prepared = prepare(one, planned.shares[1])
    one.stop.request(15)
    with pytest.raises(InterruptedRun):
        reproduce(one, prepared.models[0], planned.name)


def test_mlflow_has_a_parent_run_with_the_table_and_the_models_below_it(
    context: Callable[..., Context], copy: str
) -> None:
    from mlflow.tracking import MlflowClient

    one = context(train__steps=2, tracking__enabled=True)
    planned = divide(one, ["paper"], [8], [1], {"linux_kernel": copy})
    rows = carried_out(one, Reproduction(planned.name, planned.shares[1:], planned.scaled_to))
    tabulate(one, planned, rows)
    client = MlflowClient(f"sqlite:///{one.workspace.mlflow / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("reproduce-2015")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if run.data.tags.get("charpipe.kind") == "comparison"]
    assert parent.info.run_name == f"2015, scaled to 2 steps each · {planned.name[-6:]}"
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert {"reproduction.csv", "reproduction.json", "leaderboard.json"} <= files
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert {run.data.tags["charpipe.run"] for run in children} == {row.run for row in rows}
    assert len(children) == 3
