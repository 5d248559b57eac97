"""`charpipe.train` and `charpipe.load` give what the command line gives."""

from __future__ import annotations

from pathlib import Path

import pytest

import charpipe
from charpipe.events import Step
from charpipe.runs.annotations import read_annotations

SETTINGS = {
    "tracking.enabled": False,
    "train.steps": 5,
    "train.batch_size": 2,
    "architectures.rnn.hidden_size": 4,
    "sample.length": 20,
}


def test_train_and_load(project: Path, heard) -> None:
    run = charpipe.train("hello", arch="rnn", settings=SETTINGS, listen=heard)
    assert len(heard.of(Step)) == 5
    assert len(run.sample) == 20
    assert [row["text"] for row in run.predictions] == ["h", "he", "hel", "hell"]
    assert charpipe.train("hello", arch="rnn", settings=SETTINGS).name == run.name
    loaded = charpipe.load("last")
    assert loaded.name == run.name
    assert loaded.model.parameters == 4 * (4 + 4 + 1 + 1) + 4 * (4 + 1)  # torch's RNN has two biases
    assert loaded.encoding.encode("hello").tolist() == [1, 0, 2, 2, 3]


def test_tags_are_those_of_the_run_and_replace_the_settings(project: Path) -> None:
    settings = SETTINGS | {"tracking.tags": ["of-settings"]}
    run = charpipe.train("hello", arch="rnn", settings=settings, tags=["baseline", "rate=low"])
    assert read_annotations(run.folder).tags == {"baseline": "", "rate": "low"}
    again = charpipe.train("hello", arch="rnn", settings=SETTINGS, tags="again")
    assert again.name == run.name
    assert read_annotations(run.folder).tags == {"again": "", "baseline": "", "rate": "low"}
    with pytest.raises(charpipe.CharpipeError, match="'a b' cannot be a tag"):
        charpipe.train("hello", arch="rnn", settings=SETTINGS, tags=["a b"])


def test_forced_stage_runs_again(project: Path, heard) -> None:
    run = charpipe.train("hello", arch="rnn", settings=SETTINGS)
    forced = charpipe.train("hello", arch="rnn", settings=SETTINGS, force=["train"], listen=heard)
    assert len(heard.of(Step)) == 5
    assert forced.name != run.name
    with pytest.raises(charpipe.CharpipeError, match="did you mean 'train'"):
        charpipe.train("hello", arch="rnn", settings=SETTINGS, force="trian")


def test_options_of_the_project_file_hold_for_what_is_not_given(project: Path) -> None:
    table = "[pipelines.train-and-sample]\narch = 'rnn'\nrunner = 'ray'\nworkers = 2\n"
    (project / "pipelines.toml").write_text(table)
    assert charpipe.load(charpipe.train("hello", settings=SETTINGS).name).model.architecture == "rnn"
    small = SETTINGS | {"architectures.gru.hidden_size": 4}
    given = charpipe.train("hello", arch="gru", settings=small)
    assert charpipe.load(given.name).model.architecture == "gru"


def test_comparison_tags_its_trials(project: Path) -> None:
    found = charpipe.compare("hello", ["rnn"], sizes=[4], settings=SETTINGS, tags=["trial"])
    [row] = found.rows
    assert read_annotations(project / ".charpipe" / "runs" / row["run"]).tags == {"trial": ""}


def test_workers_are_on_a_cluster(project: Path) -> None:
    with pytest.raises(charpipe.CharpipeError, match="--workers 2 needs --runner ray"):
        charpipe.train("hello", workers=2)
    with pytest.raises(charpipe.CharpipeError, match="Ray"):
        charpipe.train("hello", runner="ray")


def test_unknown_things_are_named(project: Path) -> None:
    with pytest.raises(charpipe.CharpipeError, match="there is no run 'nothing'"):
        charpipe.load("nothing")
    with pytest.raises(charpipe.CharpipeError, match="did you mean 'hello'"):
        charpipe.train("helo")
