from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charpipe.events import Notice, OfTrial, Step
from charpipe.stages import Context
from charpipe.tracking import locate
from charpipe.tracking.client import connect
from charpipe_pipelines.options import CompareOptions, SweepOptions
from charpipe_pipelines.orchestration import run

pytestmark = [
    pytest.mark.e2e,
    # Prefect's, FastAPI's and websockets' own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
Open = Callable[..., Context]
TINY = {"train__steps": 20, "train__batch_size": 4, "train__window": 8}


@pytest.fixture
def text(project: Path) -> str:
    (project / "verses.txt").write_text("to be, or not to be, that is the question: " * 40)
    return str(project / "verses.txt")


def test_a_sweep_is_tasks_of_a_flow_and_nested_runs(
    context: Open, server: Any, heard: Any, text: str
) -> None:
    opened = context(tracking__enabled=True, tracking__patience=600, **TINY)
    space = ["architectures.rnn.layers=1,2", "train.clip=0.5,1"]
    options = SweepOptions(corpus=text, arch="rnn", space=space, sampler="grid")
    result: Any = run(opened.registry.pipeline("sweep"), options, opened)
    assert len(result.trials) == 4

    names = {f"trial {trial.number}" for trial in result.trials}
    stages = {"ingest", "vocabulary", "encode", "space", "results"} | names
    flow_run = server.flow_runs()[0]
    assert flow_run["state_name"] == "Completed"
    assert server.states(flow_run, stages) == dict.fromkeys(stages, "Completed")

    client = connect(locate(opened.config.tracking, opened.workspace.mlflow, {}))
    experiment = client.get_experiment_by_name(opened.corpus(text)[0])
    assert experiment is not None
    runs = list(client.search_runs([experiment.experiment_id]))
    [parent] = [one for one in runs if one.data.tags.get("charpipe.kind") == "sweep"]
    children = [one for one in runs if one is not parent]
    assert {one.data.tags["mlflow.parentRunId"] for one in children} == {parent.info.run_id}
    assert len(children) == 4 and parent.info.status == "FINISHED"
    assert parent.data.params["space.train.clip"] == "0.5,1"
    found = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert {"trials.csv", "sweep.html"} <= found
    assert "plots/parallel.svg" in {item.path for item in client.list_artifacts(parent.info.run_id, "plots")}


def test_two_trials_at_once_are_tasks_with_their_events(
    context: Open, server: Any, heard: Any, text: str
) -> None:
    opened = context(**TINY, train__seed=3)
    options = CompareOptions(corpus=text, arch="rnn,gru", sizes="8", match="units", at_once=2)
    result: Any = run(opened.registry.pipeline("compare-architectures"), options, opened)
    assert not any(row.error for row in result.rows)
    names = {"rnn 1x8 seed 3", "gru 1x8 seed 3"}
    flow_run = server.flow_runs()[0]
    states = server.states(flow_run, names)
    assert {name: states[name] for name in names} == dict.fromkeys(names, "Completed")
    assert {event.trial for event in heard.of(OfTrial) if isinstance(event.event, Step)} == names
    assert len([event for event in heard.of(Notice) if "2 trials at once" in event.message]) == 1
    asked = {"logs": {"flow_run_id": {"any_": [flow_run["id"]]}}, "limit": 200}
    logged = " ".join(line["message"] for line in server.ask("/logs/filter", asked))
    assert all(f"{name}: step 20: " in logged for name in names)
