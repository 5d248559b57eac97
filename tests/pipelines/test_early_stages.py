"""Stages that are done before a flow begins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charpipe.config import load_config
from charpipe.errors import CharpipeError, CorpusError, InterruptedRun
from charpipe.events import Event, StageFinished, StageStarted, Step, TrainingStarted
from charpipe.plugins.registry import Registry
from charpipe.runs import list_runs
from charpipe.servers.managed import ManagedServer
from charpipe.stages import Context
from charpipe.workspace import Workspace
from charpipe_pipelines import orchestration
from charpipe_pipelines.early_stages import EarlyStages
from charpipe_pipelines.options import TrainAndSampleOptions
from charpipe_pipelines.train_and_sample import recipe
from charpipe_pipelines.training_result import TrainingResult

OPTIONS = TrainAndSampleOptions(corpus="hello", arch="rnn")
STAGES = ["ingest", "vocabulary", "encode", "train", "evaluate", "sample"]
FLOW_RUN = {"flow_run_id": "an id", "url": "a page"}


@pytest.fixture
def alone(project: Path, tmp_path: Path, heard: Any) -> Context:
    """A context on a workspace of its own."""
    settings = {"tracking.enabled": False, "train.steps": 12, "sample.length": 40}
    settings |= {"architectures.rnn.hidden_size": 8}
    return Context(Workspace(tmp_path / "workspace"), load_config(settings=settings), Registry(), emit=heard)


def ignore(event: Event) -> None:
    pass


def test_without_a_hand_over_the_result_is_the_pipelines(alone: Context) -> None:
    ahead = EarlyStages(recipe, OPTIONS, alone)
    ahead.start()
    result = ahead.result()
    assert result == recipe(alone, OPTIONS)


def test_results_and_events_are_taken_in_order(alone: Context, heard: Any) -> None:
    ahead = EarlyStages(recipe, OPTIONS, alone)
    ahead.start()
    result = ahead.result()
    seen: list[Event] = []
    for stage in STAGES:
        assert ahead.has_started(stage)
        taken = ahead.take(seen.append, FLOW_RUN)
    assert taken.text in result.sample
    assert not any(ahead.has_started(stage) for stage in STAGES)
    told = [event.stage for event in seen if isinstance(event, StageFinished)]
    assert told == [event.stage for event in heard.of(StageFinished)] == STAGES
    [run] = list_runs(alone.workspace.runs)
    assert run.status.prefect == FLOW_RUN


def test_after_the_hand_over_no_stage_begins(alone: Context, heard: Any) -> None:
    tell, reached, go_on = alone.emit, threading.Event(), threading.Event()

    def emit(event: Event) -> None:
        tell(event)
        if isinstance(event, TrainingStarted):
            reached.set()
            go_on.wait()

    alone = replace(alone, emit=emit)
    ahead = EarlyStages(recipe, OPTIONS, alone)
    ahead.start()
    reached.wait()
    ahead.hand_over()
    go_on.set()
    ahead.wait()
    for _ in range(3):
        ahead.take(ignore, FLOW_RUN)
    seen: list[Event] = []
    assert ahead.take(seen.append, FLOW_RUN).steps == 12
    assert [event.step for event in seen if isinstance(event, Step)][-1] == 12
    assert not ahead.has_started("evaluate")
    assert "evaluate" not in {event.stage for event in heard.of(StageStarted)}


def test_an_error_is_raised_where_its_result_is_taken(alone: Context, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    ahead = EarlyStages(recipe, TrainAndSampleOptions(corpus=str(empty), arch="rnn"), alone)
    ahead.start()
    with pytest.raises(CorpusError):
        ahead.result()
    with pytest.raises(CorpusError):
        ahead.take(ignore, FLOW_RUN)
    assert not ahead.has_started("vocabulary")


def test_a_stop_does_not_wait_for_the_server(alone: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def never(self: ManagedServer, timeout: float = 0) -> str:
        ended.wait()
        raise CharpipeError("the test is over")

    monkeypatch.setattr(ManagedServer, "start", never)
    tell = alone.emit

    def emit(event: Event) -> None:
        tell(event)
        if isinstance(event, Step) and event.step == 3:
            alone.stop.request(2)

    alone = replace(alone, emit=emit)
    try:
        with pytest.raises(InterruptedRun, match="charpipe resume"):
            orchestration.run(alone.registry.pipeline("train-and-sample"), OPTIONS, alone)
    finally:
        ended.set()


@pytest.fixture
def stopped_server(server: Any) -> Iterator[Any]:
    server.managed.stop()
    yield server


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_stages_done_while_the_server_starts_are_tasks(
    context: Callable[..., Context], stopped_server: Any
) -> None:
    opened = context(train__seed=41)
    result = orchestration.run(opened.registry.pipeline("train-and-sample"), OPTIONS, opened)
    assert isinstance(result, TrainingResult)
    flow_run = stopped_server.flow_runs()[0]
    assert (flow_run["name"], flow_run["state_name"]) == (result.run, "Completed")
    assert set(stopped_server.states(flow_run, STAGES)) == set(STAGES)
    where = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    tasks = {task["name"]: task for task in stopped_server.ask("/task_runs/filter", where)}
    upstream = {part["id"] for parts in tasks["encode"]["task_inputs"].values() for part in parts}
    assert tasks["ingest"]["id"] in upstream
    [run] = [run for run in list_runs(opened.workspace.runs) if run.name == result.run]
    assert run.status.prefect["flow_run_id"] == flow_run["id"]
