"""`charpipe runs delete`, `rename`, `note`, `tag`, and `list` with filters: in the workspace and in MLflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import charpipe
from charpipe.cli import main
from charpipe.cli.environment import open_workspace
from charpipe.runs.folder import Run
from charpipe.tracking import TrackingConfig, locate
from charpipe.tracking.client import connect
from charpipe.tracking.experiments import find_run
from charpipe.tracking.sync import sync

SMALL = """
[train]
steps = 4
[architectures.rnn]
hidden_size = 4
[tracking]
enabled = false
"""


def train(seed: int, *tags: str) -> Run:
    settings = {"train.seed": seed, "tracking.tags": list(tags)}
    return Run(charpipe.train("mine.txt", arch="rnn", settings=settings, progress=False).folder)


def in_mlflow(run: Run):
    location = locate(TrackingConfig(), open_workspace().mlflow)
    return find_run(connect(location), run.name)


@pytest.fixture
def runs(project: Path, capfd: pytest.CaptureFixture[str]) -> list[Run]:
    """Two runs; the second is tagged at training."""
    (project / "pipelines.toml").write_text(SMALL)
    (project / "mine.txt").write_text("a text to learn, line by line\n" * 400)
    found = [train(1), train(2, "baseline", "lr=0.1")]
    capfd.readouterr()
    return found


def listed(capfd: pytest.CaptureFixture[str], *words: str) -> list[dict]:
    assert main(["runs", "list", "--json", *words]) == 0
    return json.loads(capfd.readouterr().out)


def test_a_run_is_tagged_at_training(runs: list[Run], capfd: pytest.CaptureFixture[str]) -> None:
    assert [row["tags"] for row in listed(capfd)] == [[], ["baseline", "lr=0.1"]]


def test_a_run_that_is_reused_gets_the_tags(runs: list[Run], capfd: pytest.CaptureFixture[str]) -> None:
    assert train(1, "again").name == runs[0].name
    assert [row["tags"] for row in listed(capfd)] == [["again"], ["baseline", "lr=0.1"]]


def test_runs_are_filtered_and_sorted(runs: list[Run], capfd: pytest.CaptureFixture[str]) -> None:
    assert [row["run"] for row in listed(capfd, "--filter", "tags=baseline")] == [runs[1].name]
    assert [row["run"] for row in listed(capfd, "--filter", "train.seed<2")] == [runs[0].name]
    assert [row["run"] for row in listed(capfd, "--filter", "val/loss>99")] == []
    assert [row["run"] for row in listed(capfd, "--reverse")] == [runs[1].name, runs[0].name]
    losses = [row["val/loss"] for row in listed(capfd, "--sort", "val/loss")]
    assert losses == sorted(losses)


def test_columns_are_chosen(runs: list[Run], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "list", "--columns", "tags, train.seed,architectures.rnn.hidden_size"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split() == ["run", "tags", "train.seed", "architectures.rnn.hidden_size"]
    assert lines[3].split() == [runs[1].name, "baseline,", "lr=0.1", "2", "4"]


def test_settings_are_shown_as_they_were_written(runs: list[Run], capfd: pytest.CaptureFixture[str]) -> None:
    info = runs[0].info
    runs[0].rewrite(info.model_copy(update={"settings": info.settings | {"train.learning_rate": 2e-5}}))
    runs[0].update(seconds=7.0)
    assert main(["runs", "list", "--columns", "train.learning_rate,seconds,train.budget"]) == 0
    rows = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert rows[2][1:3] == ["2e-05", "7.0"]
    assert rows[3][1] == "0.006"
    for words in (["show", runs[0].name], ["compare", *(run.name for run in runs)]):
        assert main(["runs", *words]) == 0
        (seconds,) = [line for line in capfd.readouterr().out.splitlines() if "seconds" in line]
        assert "7.0 " in seconds + " "


@pytest.mark.parametrize(
    "words", [["--sort", "val/los"], ["--filter", "val/los<1"], ["--columns", "val/los"]]
)
def test_unknown_keys_are_refused(
    runs: list[Run], words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "list", *words]) == 2
    assert "did you mean 'val/loss'?" in capfd.readouterr().err


def test_perplexity_is_the_exponential_of_the_loss(
    runs: list[Run], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "show", runs[0].name]) == 0
    shown = dict(line.split(maxsplit=1) for line in capfd.readouterr().out.splitlines() if "/" in line[:20])
    assert float(shown["val/perplexity"]) == pytest.approx(2.718281828 ** float(shown["val/loss"]), rel=1e-3)
    assert float(shown["test/perplexity"]) == pytest.approx(
        2.718281828 ** float(shown["test/loss"]), rel=1e-3
    )


def test_a_renamed_run_is_shown_by_its_name(runs: list[Run], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "rename", runs[0].name, "first"]) == 0
    assert main(["runs", "list"]) == 0
    assert capfd.readouterr().out.splitlines()[3].startswith("first ")
    assert listed(capfd)[0]["name"] == "first"
    assert main(["sample", "first", "--length", "3"]) == 0


def test_a_name_that_finds_another_run_as_a_prefix_is_refused(
    runs: list[Run], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "rename", runs[0].name, runs[1].name[:4]]) == 2
    assert f"is a prefix that finds {runs[1].name}" in capfd.readouterr().err


def test_notes_are_written_appended_and_removed(runs: list[Run], capfd: pytest.CaptureFixture[str]) -> None:
    last = ["runs", "note", "last"]
    assert main([*last, "odd"]) == main([*last, "--append", "still"]) == 0
    capfd.readouterr()
    assert main(last) == 0
    assert capfd.readouterr().out == "odd\nstill\n"
    assert main(["runs", "show", "last"]) == 0
    assert "note\n  odd\n  still\n" in capfd.readouterr().out
    assert main([*last, "--remove"]) == 0
    assert main(last) == 0
    assert capfd.readouterr().out.endswith("There is no note.\n")


@pytest.mark.parametrize("words", [["--append"], ["x", "--remove"], ["x" * 5000]])
def test_notes_that_cannot_be_are_refused(runs: list[Run], words: list[str]) -> None:
    assert main(["runs", "note", "last", *words]) == 2


def test_mlflow_has_name_note_and_tags_and_forgets_removed_ones(runs: list[Run], project: Path) -> None:
    location = locate(TrackingConfig(), open_workspace().mlflow)
    sync(location, runs[1])
    (project / "pipelines.toml").write_text(SMALL.partition("[tracking]")[0])
    assert main(["runs", "rename", "last", "second"]) == 0
    assert main(["runs", "note", "last", "odd"]) == 0
    assert main(["runs", "tag", "last", "new", "--remove", "baseline"]) == 0
    there = in_mlflow(runs[1])
    assert there.info.run_name == "second"
    tags = there.data.tags
    assert (tags["charpipe.note"], tags["new"], tags["lr"]) == ("odd", "true", "0.1")
    assert "baseline" not in tags


def test_deleting_frees_the_folder_and_mlflow(
    runs: list[Run], project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sync(locate(TrackingConfig(), open_workspace().mlflow), runs[0])
    (project / "pipelines.toml").write_text(SMALL.partition("[tracking]")[0])
    there = in_mlflow(runs[0])
    artifacts = open_workspace().mlflow / "artifacts"
    assert any(there.info.run_id in str(path) for path in artifacts.rglob("*"))
    assert main(["runs", "delete", runs[0].name, "--dry-run"]) == 0
    assert runs[0].folder.is_dir()
    assert in_mlflow(runs[0]) is not None
    assert "would delete" in capfd.readouterr().out
    assert main(["runs", "delete", runs[0].name, "--dry-run", "--json"]) == 0
    announced = json.loads(capfd.readouterr().out)
    assert main(["runs", "delete", runs[0].name, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told == announced | {"dry_run": False}
    assert told["bytes"] > 1000
    assert told["deleted"][0]["mlflow"]
    assert not runs[0].folder.exists()
    assert in_mlflow(runs[0]) is None
    assert not any(there.info.run_id in str(path) for path in artifacts.rglob("*") if path.is_file())
    assert [row["run"] for row in listed(capfd)] == [runs[1].name]


def test_a_run_in_training_stops_the_whole_deletion(
    runs: list[Run], capfd: pytest.CaptureFixture[str]
) -> None:
    with runs[1].lock():
        assert main(["runs", "delete", runs[0].name, runs[1].name, "--force"]) == 1
    assert "is being trained, so it is not deleted" in capfd.readouterr().err
    assert runs[0].folder.is_dir()


def test_the_run_of_a_champion_needs_force(runs: list[Run], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "promote", runs[0].name, "--anyway"]) == 0
    assert main(["runs", "delete", runs[1].name, runs[0].name]) == 1
    said = capfd.readouterr().err
    assert "made the champion of ./mine.txt; nothing was deleted" in said
    assert "--force" in said
    assert all(run.folder.is_dir() for run in runs)
    assert main(["runs", "delete", runs[0].name, "--force"]) == 0
    assert main(["sample", "champion:mine.txt", "--length", "3"]) == 0


def test_a_run_that_another_one_starts_from_needs_force(
    runs: list[Run], capfd: pytest.CaptureFixture[str]
) -> None:
    info = runs[1].info
    start = {"start": {"path": f"runs/{runs[0].name}/checkpoints/step-00000004"}}
    runs[1].rewrite(info.model_copy(update={"facts": {**info.facts, **start}}))
    runs[1].update(state="interrupted")
    assert main(["runs", "delete", runs[0].name]) == 1
    assert "which is not finished, starts from" in capfd.readouterr().err
    runs[1].update(state="finished")
    assert main(["runs", "delete", runs[0].name]) == 0


@pytest.mark.parametrize("name", ["nothing", "20"])
def test_unknown_and_ambiguous_names_are_refused(runs: list[Run], name: str) -> None:
    assert main(["runs", "delete", name]) == 2
    assert all(run.folder.is_dir() for run in runs)
