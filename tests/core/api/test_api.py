"""`charpipe.train` and `charpipe.load` give what the command line gives."""

from __future__ import annotations

from pathlib import Path

import pytest

import charpipe
from charpipe.events import Step

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


def test_unknown_things_are_named(project: Path) -> None:
    with pytest.raises(charpipe.CharpipeError, match="there is no run 'nothing'"):
        charpipe.load("nothing")
    with pytest.raises(charpipe.CharpipeError, match="did you mean 'hello'"):
        charpipe.train("helo")
