"""Pipelines that several workers carry out: what is refused before anything starts, and the workers' plugins."""

import os
import signal
from dataclasses import replace

import pytest

from charpipe.cli.signals import until_done
from charpipe.errors import PluginError, UsageError
from charpipe.plugins.registry import Registry
from charpipe.stages.context import ignore
from charpipe.stages.plan import check_here
from charpipe.stages.stop import Stop
from charpipe.stages.workers import _model
from charpipe.training.group import Group
from charpipe.training.torchrun import follows, started_by_torchrun
from waiting import until

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2"}


class Two(Group):
    size = 2


@pytest.fixture
def by_two(open_context, project):
    (project / "a.txt").write_text("hello world\n" * 50)
    return lambda **settings: replace(open_context(**settings), group=Two())


def test_several_workers_need_shards_that_they_can_divide(by_two):
    check_here(by_two(train__shards=4), "a.txt", "rnn")
    with pytest.raises(UsageError, match=r"there is only one; nothing was done; add --set train\.shards=2"):
        check_here(by_two(), "a.txt", "rnn")


def test_count_based_model_needs_no_workers(by_two):
    with pytest.raises(UsageError, match="ngram is a count-based model, which one process counts by itself"):
        check_here(by_two(train__shards=4), "a.txt", "ngram")


def test_worker_with_another_plugin_is_refused():
    registry = Registry()
    config = registry.architecture("rnn").config()
    job = {
        "architecture": "rnn",
        "config": config.model_dump(mode="json"),
        "vocabulary": {},
        "vocabulary_size": 9,
    }
    same = {"digest": registry.find("architecture", "rnn").provider.digest()}
    assert _model(registry, job | {"plugin": same}).architecture == "rnn"
    with pytest.raises(PluginError, match="differs between the workers: 0123456789ab at rank 0"):
        _model(registry, job | {"plugin": {"digest": "0123456789abcdef"}})


def test_only_processes_of_torchrun_are_workers(monkeypatch):
    assert not started_by_torchrun({"RANK": "1", "WORLD_SIZE": "2"})
    assert not started_by_torchrun(TORCHRUN | {"WORLD_SIZE": "1"})
    assert started_by_torchrun(TORCHRUN)
    assert not follows()
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    for rank, expected in (("0", False), ("1", True)):
        monkeypatch.setenv("RANK", rank)
        assert follows() is expected


def test_second_signal_of_a_launcher_does_not_end_the_saving():
    stop = Stop()

    def save() -> str:
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            until(stop.event.is_set)
        return "saved"

    assert until_done(save, stop, ignore, twice=False) == "saved"
    assert stop.signal == signal.SIGINT
