"""Where `train-and-sample` trains: what is refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charpipe.errors import UsageError
from charpipe.stages import Context
from charpipe.training.group import Group, most_workers
from charpipe_pipelines.options import TrainAndSampleOptions
from charpipe_pipelines.placement import check_workers


@pytest.fixture
def refused(open_context: Callable[..., Context], project: Path) -> Callable[..., str]:
    """The sentence with which workers are refused."""

    def find(
        arch: str = "rnn", runner: Any = "ray", workers: int = 2, group: int = 1, **settings: Any
    ) -> str:
        together = Group()
        together.size = group
        context = replace(open_context(**{"train__shards": 4, **settings}), group=together)
        with pytest.raises(UsageError) as error:
            check_workers(context, arch, runner, workers)
        return str(error.value)

    return find


def test_workers_of_one_machine_are_started_by_torchrun(refused: Callable[..., str]) -> None:
    assert "torchrun --nproc-per-node 3 -m charpipe run" in refused(runner="local", workers=3)


def test_torchrun_and_ray_are_not_combined(refused: Callable[..., str]) -> None:
    assert refused(group=2) == "Ray starts its workers itself; leave torchrun out, or --runner ray"


def test_count_based_model_is_not_sent_to_the_cluster(refused: Callable[..., str]) -> None:
    assert "one process counts by itself" in refused(arch="ngram")


def test_more_workers_than_shards_are_refused(refused: Callable[..., str]) -> None:
    assert "8 workers are more than the 4 shards" in refused(workers=8)
    assert "start 1, 2 or 4" in refused(workers=3)
    assert "add --set train.shards=2" in refused(train__shards=1)


def test_cluster_must_be_named(refused: Callable[..., str]) -> None:
    assert "[cluster] ray" in refused()


def test_resumed_run_is_not_bound_to_its_workers() -> None:
    options = TrainAndSampleOptions(corpus="a", runner="ray", workers=4)
    assert options.recorded == TrainAndSampleOptions(corpus="a").recorded
    assert not {"runner", "workers"} & options.recorded.keys()


def test_workers_that_the_shards_cannot_be_divided_among_stay_idle() -> None:
    assert [most_workers(count, 4) for count in (1, 2, 3, 4, 5)] == [1, 2, 2, 4, 4]
    assert most_workers(5, 6) == 3
