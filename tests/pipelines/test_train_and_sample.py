from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect import tags

from charpipe.errors import CharpipeError, InterruptedRun
from charpipe.events import Event, Notice, Sampled, StageFinished, Step
from charpipe.runs import list_runs
from charpipe.servers.managed import STATE
from charpipe.stages import Context
from charpipe_pipelines import orchestration
from charpipe_pipelines.early_stages import EarlyStages
from charpipe_pipelines.options import TrainAndSampleOptions
from charpipe_pipelines.orchestration import run
from charpipe_pipelines.training_result import TrainingResult
from waiting import LIMIT

pytestmark = [
    pytest.mark.e2e,
    # Prefect's, FastAPI's and websockets' own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
OPTIONS = TrainAndSampleOptions(corpus="hello", arch="rnn")
STAGES = {"ingest", "vocabulary", "encode", "train", "evaluate", "sample"}
Open = Callable[..., Context]


def train_and_sample(options: TrainAndSampleOptions, context: Context) -> TrainingResult:
    """What `charpipe run train-and-sample` does."""
    result = run(context.registry.pipeline("train-and-sample"), options, context)
    assert isinstance(result, TrainingResult)
    return result


def on(context: Context, kind: type[Event], act: Callable[[], None]) -> Context:
    """The context, in which something is done once, when the first event of a kind comes."""
    tell, left = context.emit, [act]

    def emit(event: Event) -> None:
        if isinstance(event, kind) and left:
            left.pop()()
        tell(event)

    return replace(context, emit=emit)


def test_a_run_and_the_same_run_again(
    context: Open, server: Any, heard: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    with tags("of the flow run"):
        result = train_and_sample(OPTIONS, context())
    assert set(result.to_json()) == {"run", "corpus", "metrics", "predictions", "sample", "warning"}
    flow_run = server.flow_runs()[0]
    assert flow_run["name"] == result.run
    assert flow_run["state_name"] == "Completed"
    assert flow_run["tags"] == ["of the flow run", f"charpipe.run:{result.run}"]
    assert flow_run["parameters"]["options"]["corpus"] == "hello"
    assert flow_run["parameters"]["settings"]["train.steps"] == 12
    [run] = list_runs(context().workspace.runs)
    assert run.status.prefect["flow_run_id"] == flow_run["id"]
    assert server.states(flow_run, STAGES) == dict.fromkeys(STAGES, "Completed")
    artifacts = server.artifacts(flow_run)
    assert artifacts["train-progress"]["data"] == 100
    assert result.sample[:20] in artifacts["latest-sample"]["data"]

    heard.clear()
    assert train_and_sample(OPTIONS, context()) == result
    assert all(event.skipped for event in heard.of(StageFinished))
    again = server.flow_runs()[0]
    assert again["id"] != flow_run["id"]
    assert server.states(again, STAGES) == dict.fromkeys(STAGES, "Cached")
    assert "".join(capfd.readouterr()) == ""


def test_a_server_that_runs_already_has_the_whole_flow(
    context: Open, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestration, "SOON_SECONDS", LIMIT)
    monkeypatch.setattr(EarlyStages, "start", lambda ahead: pytest.fail("the work began without the flow"))
    assert train_and_sample(OPTIONS, context(train__seed=6)).run == server.flow_runs()[0]["name"]


def test_a_server_killed_in_mid_run_is_started_again_and_nothing_is_lost(
    context: Open, server: Any, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestration, "SOON_SECONDS", LIMIT)  # the kill is to come after the flow's start
    opened = context(train__seed=2)
    pid = json.loads((server.managed.folder / STATE).read_text())["pid"]
    opened = on(opened, Step, lambda: os.kill(pid, signal.SIGKILL))
    result = train_and_sample(OPTIONS, opened)
    warnings = [notice.message for notice in heard.of(Notice) if notice.level == "warning"]
    assert [message for message in warnings if "worse than guessing" not in message] == []
    flow_run = server.flow_runs()[0]
    assert (flow_run["name"], flow_run["state_name"]) == (result.run, "Completed")


def test_without_any_server_the_work_is_done_all_the_same(context: Open, heard: Any) -> None:
    result = train_and_sample(OPTIONS, context(train__seed=3, prefect__api_url="http://127.0.0.1:9/api"))
    assert result.sample
    [notice] = [notice for notice in heard.of(Notice) if notice.level == "warning"]
    assert "http://127.0.0.1:9/api does not answer (connection refused)" in notice.message


def test_what_the_engine_raises_comes_out_as_it_was(
    context: Open, server: Any, heard: Any, project: Path
) -> None:
    (project / "one.txt").write_text("x")  # too little to train on
    with pytest.raises(CharpipeError) as caught:
        train_and_sample(TrainAndSampleOptions(corpus="one.txt", arch="rnn"), context())
    assert not str(caught.value).startswith("Prefect")
    assert not [notice for notice in heard.of(Notice) if "Prefect" in notice.message]
    flow_run = server.flow_runs()[0]
    assert flow_run["state_name"] == "Failed"
    assert server.states(flow_run, {"ingest", "train"})["train"] == "Failed"


def test_a_stop_is_a_cancelled_run_that_was_saved(context: Open, server: Any) -> None:
    opened = context(train__seed=4, train__steps=4000)
    stop = opened.stop
    opened = on(opened, Step, lambda: stop.request(2))
    with pytest.raises(InterruptedRun, match="charpipe resume") as caught:
        train_and_sample(OPTIONS, opened)
    assert caught.value.exit_code == 130
    flow_run = server.flow_runs()[0]
    assert flow_run["state_name"] == "Cancelled"
    assert server.states(flow_run, {"ingest", "vocabulary", "encode", "train"})["train"] == "Cancelled"
    run = list_runs(server.workspace.runs)[-1]
    assert run.status.state == "interrupted"
    assert flow_run["name"] == run.name


def test_cancel_in_the_page_saves_first(context: Open, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charpipe_pipelines.progress.INTERVAL", 0.1)
    opened = context(train__seed=5, train__steps=1_000_000, train__max_epochs=1e9)

    def cancel() -> None:
        state = {"state": {"type": "CANCELLING"}, "force": True}
        server.ask(f"/flow_runs/{server.flow_runs()[0]['id']}/set_state", state)

    opened = on(opened, Sampled, cancel)
    with pytest.raises(InterruptedRun, match="saved"):
        train_and_sample(OPTIONS, opened)
    assert server.flow_runs()[0]["state_name"] == "Cancelled"
