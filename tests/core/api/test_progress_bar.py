"""The progress of `charpipe.train` in Python: there when wanted, silent when not, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

import charpipe

SETTINGS = {
    "tracking.enabled": False,
    "train.steps": 5,
    "architectures.rnn.hidden_size": 4,
    "sample.length": 20,
}


def test_a_bar_tells_the_steps_on_stderr(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    charpipe.train("hello", arch="rnn", settings=SETTINGS, progress=True)
    told = capsys.readouterr()
    assert told.out == "" and "5 of 5 steps" in told.err


def test_nothing_is_written_where_nobody_looks_on_or_it_is_off(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    charpipe.train("hello", arch="rnn", settings=SETTINGS)
    charpipe.train("hello", arch="rnn", settings=SETTINGS | {"train.seed": 2}, progress=False)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")
