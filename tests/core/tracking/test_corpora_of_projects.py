"""Two projects that log to one MLflow, a real one: corpora of one name are told apart, by experiment and by model."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_runs import make_run

from charpipe.runs import Run
from charpipe.tracking import Location, TrackingConfig, locate
from charpipe.tracking.client import connect
from charpipe.tracking.corpora import OWNER_TAG, experiment_name, experiment_of
from charpipe.tracking.metadata import CORPUS_TAG
from charpipe.tracking.sync import sync


@pytest.fixture
def shared(tmp_path: Path, make_location: Callable[[Path], Location]) -> Callable[[str], Location]:
    """The location of one MLflow as the project of a name sees it."""
    uri = make_location(tmp_path / "server").uri

    def seen_from(project: str) -> Location:
        return locate(TrackingConfig(uri=uri), tmp_path / project / ".charpipe" / "mlflow", {})

    return seen_from


def run_of(location: Location, name: str, corpus: str, origin: str | None = None) -> Run:
    """A run in the location's workspace, logged."""
    run = make_run(location.folder.parent / "runs", name, corpus)
    if origin:
        facts = {**run.info.facts, "origin": origin}
        (run.folder / "run.json").write_text(
            run.info.model_copy(update={"facts": facts}).model_dump_json(by_alias=True)
        )
    sync(location, run)
    return run


def experiment(location: Location, run: Run) -> str:
    client = connect(location)
    return str(client.get_experiment(run.status.mlflow["experiment_id"]).name)


def test_projects_with_a_corpus_of_one_name_have_an_experiment_each(
    shared: Callable[[str], Location],
) -> None:
    verse, songs = shared("verse"), shared("songs")
    first = run_of(verse, "20261123-1041-input.txt-lstm-0001", "./input.txt")
    second = run_of(songs, "20261123-1041-input.txt-lstm-0002", "./input.txt")
    again = run_of(songs, "20261123-1041-input.txt-lstm-0003", "./input.txt")

    assert experiment(verse, first) == "./input.txt"
    assert experiment(songs, second).startswith("./input.txt · songs · ")
    assert experiment(songs, again) == experiment(songs, second)


def test_a_project_that_moved_keeps_its_experiment(shared: Callable[[str], Location]) -> None:
    verse, songs = shared("verse"), shared("songs")
    run_of(verse, "20261123-1041-input.txt-lstm-0001", "./input.txt")
    before = run_of(songs, "20261123-1041-input.txt-lstm-0002", "./input.txt")
    moved = shared("archive")
    shutil.move(songs.folder.parents[1], moved.folder.parents[1])
    after = run_of(moved, "20261123-1041-input.txt-lstm-0003", "./input.txt")
    assert experiment(moved, after) == experiment(songs, Run(moved.folder.parent / "runs" / before.name))


def test_an_experiment_that_a_person_renamed_is_found(shared: Callable[[str], Location]) -> None:
    verse = shared("verse")
    run = run_of(verse, "20261123-1041-input.txt-lstm-0001", "./input.txt")
    connect(verse).rename_experiment(run.status.mlflow["experiment_id"], "Verse")
    assert experiment(verse, run_of(verse, "20261123-1041-input.txt-lstm-0002", "./input.txt")) == "Verse"


def test_corpora_with_the_same_sources_everywhere_share_one(shared: Callable[[str], Location]) -> None:
    names = {
        experiment(
            shared(project), run_of(shared(project), f"20261123-1041-hello-lstm-{project}", "hello", origin)
        )
        for project, origin in (("a", "one"), ("b", "one"))
    }
    assert names == {"hello"}
    other = run_of(shared("c"), "20261123-1041-hello-lstm-c", "hello", "two")
    assert experiment(shared("c"), other).startswith("hello · c · ")


def test_an_experiment_of_an_earlier_release_stays_that_of_its_project(
    shared: Callable[[str], Location],
) -> None:
    verse, songs = shared("verse"), shared("songs")
    client = connect(verse)
    earlier = client.create_experiment("input.txt")
    run = make_run(verse.folder.parent / "runs", "20261123-1041-input.txt-lstm-0001", "input.txt")
    made = client.create_run(earlier, tags={"charpipe.run": run.name})
    run.update(mlflow={"uri": verse.key, "experiment_id": earlier, "run_id": made.info.run_id})

    stranger = run_of(songs, "20261123-1041-input.txt-lstm-0002", "input.txt")
    ours = run_of(verse, "20261123-1041-input.txt-lstm-0003", "input.txt")

    assert experiment(songs, stranger) != "input.txt"
    assert ours.status.mlflow["experiment_id"] == earlier
    tags = client.get_experiment(earlier).tags
    assert tags[CORPUS_TAG] == "input.txt" and tags[OWNER_TAG]


def test_an_empty_experiment_made_by_hand_is_used(shared: Callable[[str], Location]) -> None:
    verse = shared("verse")
    made = connect(verse).create_experiment("./input.txt")
    run = run_of(verse, "20261123-1041-input.txt-lstm-0001", "./input.txt")
    assert run.status.mlflow["experiment_id"] == made


def test_an_experiment_that_was_chosen_is_used_by_all(shared: Callable[[str], Location]) -> None:
    ids = {
        experiment_of(connect(shared(name)), shared(name), "./input.txt", "ours")
        for name in ("verse", "songs")
    }
    assert len(ids) == 1


@pytest.mark.parametrize("name", ["..", "../../outside", ".", "a/b", "100%2E", "ü \N{ROCKET}", "x" * 3000])
def test_artifacts_of_any_experiment_stay_in_their_folder(location: Location, name: str) -> None:
    from charpipe.tracking.file_uris import path_of

    client = connect(location)
    place = client.get_experiment(experiment_of(client, location, name)).artifact_location
    run = client.create_run(experiment_of(client, location, name))
    client.log_text(run.info.run_id, "text", "a.txt")
    folder = location.folder / "artifacts"
    assert Path(path_of(place)).parent == folder
    assert [path.parents[3] for path in location.folder.rglob("a.txt")] == [folder]


@given(st.text(min_size=1), st.text(min_size=1), st.text(), st.text())
def test_experiment_names_are_injective(one: str, other: str, owner: str, another: str) -> None:
    if one != other:
        assert experiment_name(one) != experiment_name(other)
    if owner and another and (one, owner) != (other, another):
        assert experiment_name(one, "p", owner) != experiment_name(other, "p", another)
    if owner:
        assert experiment_name(one, "p", owner) != experiment_name(other)
    assert len(experiment_name(one * 600, one * 600, owner)) <= 500


def test_an_own_mlflow_calls_an_experiment_like_its_corpus(location: Location) -> None:
    client = connect(location)
    id_ = experiment_of(client, location, "./input.txt")
    assert client.get_experiment(id_).name == "./input.txt"
    elsewhere = dataclasses.replace(location, origin="[tracking] uri")
    assert experiment_of(client, elsewhere, "./input.txt") == id_
