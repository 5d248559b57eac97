from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charpipe.errors import Incomplete, UsageError
from charpipe.events import Notice, StageFinished
from charpipe.runs import list_runs
from charpipe.stages import Context
from charpipe.tracking import locate
from charpipe.tracking.client import connect
from charpipe_pipelines.options import CompareOptions
from charpipe_pipelines.orchestration import run

pytestmark = [
    pytest.mark.e2e,
    # Prefect's, FastAPI's and websockets' own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
Open = Callable[..., Context]


def compare_architectures(options: CompareOptions, context: Context) -> dict[str, Any]:
    """What `charpipe run compare-architectures` does, as JSON."""
    return run(context.registry.pipeline("compare-architectures"), options, context).to_json()


TINY = {"train__steps": 20, "train__batch_size": 4, "train__window": 8}


@pytest.fixture
def text(project: Path) -> str:
    (project / "verses.txt").write_text("to be, or not to be, that is the question: " * 40)
    return str(project / "verses.txt")


def test_four_trainings_below_one_parent_and_the_same_again(
    context: Open, server: Any, heard: Any, text: str
) -> None:
    options = CompareOptions(corpus=text, arch="rnn, gru", sizes="8", seeds=2)
    open_one = lambda: context(tracking__enabled=True, **TINY)  # noqa: E731
    result = compare_architectures(options, open_one())
    flow_run = server.flow_runs()[0]
    assert (flow_run["name"], flow_run["state_name"]) == (f"{text} rnn, gru", "Completed")
    names = {f"{row['title']} seed {row['seed']}" for row in result["rows"]}
    stages = {"ingest", "vocabulary", "encode", "match", "leaderboard"} | names
    assert server.states(flow_run, stages) == dict.fromkeys(stages, "Completed")

    told = in_mlflow(open_one(), text)
    [parent] = [run for run in told if run.data.tags.get("charpipe.kind") == "comparison"]
    children = [run for run in told if run is not parent]
    assert parent.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.run_name.partition(" · ")[0] for run in children} == names
    assert all({"val/bits_per_char", "test/bits_per_char"} <= run.data.metrics.keys() for run in children)
    assert parent.data.params["match"] == "parameters"
    assert "rnn 1x8" in parent.data.tags["mlflow.note.content"]
    assert files(open_one(), parent.info.run_id) == {
        "leaderboard.csv",
        "leaderboard.json",
        "runs.csv",
        "plots/bits_per_char_by_step.svg",
        "plots/bits_per_char_by_time.svg",
    }

    heard.clear()
    assert compare_architectures(options, open_one()) == result
    assert all(event.skipped for event in heard.of(StageFinished))
    again = server.states(server.flow_runs()[0], stages)
    assert {name: again[name] for name in names} == dict.fromkeys(names, "Cached")
    assert len(in_mlflow(open_one(), text)) == len(told)


def test_a_failure_fails_the_flow_and_the_rest_is_ranked(context: Open, server: Any, text: str) -> None:
    broken = {"architectures__gru__tie_weights": True, "architectures__gru__embedding_size": 5}
    options = CompareOptions(corpus=text, arch="gru,rnn", sizes="8", match="units")
    with pytest.raises(Incomplete) as caught:
        compare_architectures(options, context(**TINY, **broken, train__seed=5))
    assert [bool(row.error) for row in caught.value.result.rows] == [True, False]
    flow_run = server.flow_runs()[0]
    assert flow_run["state_name"] == "Failed"
    states = server.states(flow_run, {"leaderboard", "gru 1x8 seed 5", "rnn 1x8 seed 5"})
    assert (states["gru 1x8 seed 5"], states["rnn 1x8 seed 5"]) == ("Failed", "Completed")


def test_an_mlflow_that_is_gone_is_told_once(context: Open, heard: Any, text: str, project: Path) -> None:
    gone = {"tracking__enabled": True, "tracking__uri": "http://127.0.0.1:9", "tracking__patience": 1}
    options = CompareOptions(corpus=text, arch="rnn,gru", sizes="8", match="units")
    result = compare_architectures(options, context(**TINY, **gone, train__seed=7))
    assert not any(row["error"] for row in result["rows"])
    assert len([event for event in heard.of(Notice) if event.level == "warning"]) == 1
    assert (
        len([run for run in list_runs(context().workspace.runs) if run.info.settings["train.seed"] == 7]) == 2
    )


def test_an_unknown_architecture_is_refused_before_anything_is_begun(context: Open, text: str) -> None:
    with pytest.raises(UsageError, match="gru"):
        compare_architectures(CompareOptions(corpus=text, arch="rnn,gruu"), context())


def in_mlflow(context: Context, corpus: str) -> list[Any]:
    client = connect(locate(context.config.tracking, context.workspace.mlflow, {}))
    experiment = client.get_experiment_by_name(context.corpus(corpus)[0])
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def files(context: Context, run_id: str) -> set[str]:
    client = connect(locate(context.config.tracking, context.workspace.mlflow, {}))
    top = client.list_artifacts(run_id)
    inner = [file for item in top if item.is_dir for file in client.list_artifacts(run_id, item.path)]
    assert json.loads(client_text(client, run_id))["columns"][0] == "configuration"
    return {item.path for item in [*top, *inner] if not item.is_dir}


def client_text(client: Any, run_id: str) -> str:
    return Path(client.download_artifacts(run_id, "leaderboard.json")).read_text(encoding="utf-8")
