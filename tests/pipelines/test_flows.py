"""Recipes as Prefect flows: by which names deployments find them, and what their tasks are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charpipe.config import load_config
from charpipe.plugin import Options, Pipeline, PipelineResult
from charpipe.plugins.registry import Registry
from charpipe.stages import Context, StageOutput, ingest, learn_vocabulary, stage
from charpipe.stages.recipes import DryRunResult, lines_of, run_directly
from charpipe.workspace import Workspace
from charpipe_pipelines.deployments.catalogue import entrypoint
from charpipe_pipelines.orchestration import run

NAMES = ("train-and-sample", "compare-architectures", "retrain", "reproduce-2015")


@pytest.mark.parametrize("name", NAMES)
def test_deployments_of_this_release_and_of_earlier_ones_find_the_same_flow(name: str) -> None:
    from prefect.flows import load_flow_from_entrypoint

    word = name.replace("-", "_")
    paths = (entrypoint(Registry().pipeline(name)), f"charpipe_pipelines.{word}.{word}")
    found = [load_flow_from_entrypoint(path) for path in paths]
    assert {flow.name for flow in found} == {name}
    names = ["options", "settings", "workspace", "project"]  # deployments of earlier releases lack the last
    assert [list(flow.parameters.properties) for flow in found] == [names, names]
    assert all("project" not in flow.parameters.required for flow in found)


def test_an_unknown_flow_is_an_attribute_error() -> None:
    from charpipe_pipelines import flows, train_and_sample

    for module in (flows, train_and_sample):
        with pytest.raises(AttributeError, match="nonesuch"):
            module.nonesuch  # noqa: B018


class ShoutOptions(Options):
    """What the toy pipeline is asked for."""

    corpus: str = "hello"


def shout(context: Context, options: ShoutOptions) -> PipelineResult:
    """A recipe of a plugin, with a stage of its own that is called twice."""
    documents = ingest(context, options.corpus)
    learn_vocabulary(context, options.corpus, documents)
    first = toy(context, "{first} 100 %", documents=documents)
    toy(context, "second", documents=first)
    return PipelineResult()


@stage("toy-shout", "Says something.", label=lambda word, **_: word)
def toy(context: Context, word: str, *, documents: StageOutput) -> StageOutput:
    return replace(documents)


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_a_stage_of_ones_own_is_a_task_like_any_other(context: Callable[..., Context], server: Any) -> None:
    pipeline = Pipeline("shout", "Shouts.", shout, ShoutOptions, title=lambda options: "{a} title")
    assert run(pipeline, ShoutOptions(), context()) == PipelineResult()
    flow_run = server.flow_runs()[0]
    assert (flow_run["name"], flow_run["state_name"]) == ("{a} title", "Completed")
    names = {"ingest", "vocabulary", "{first} 100 %", "second"}
    assert set(server.states(flow_run, names)) == names
    where = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    tasks = {task["name"]: task for task in server.ask("/task_runs/filter", where)}
    ids = {task["id"]: name for name, task in tasks.items()}
    came_from = {
        name: {ids[part["id"]] for parts in task["task_inputs"].values() for part in parts}
        for name, task in tasks.items()
    }
    assert came_from == {
        "ingest": set(),
        "vocabulary": {"ingest"},
        "{first} 100 %": {"ingest"},
        "second": {"{first} 100 %"},
    }


def test_without_a_runner_a_plugins_recipe_is_carried_out_here(session_here: Context, heard: Any) -> None:
    pipeline = Pipeline("shout", "Shouts.", shout, ShoutOptions)
    assert run_directly(pipeline, ShoutOptions(), session_here) == PipelineResult()
    assert list(lines_of(pipeline, DryRunResult("ingest: would run"), dry_run=True)) == [
        "\nNothing was done (--dry-run)."
    ]


@pytest.fixture
def session_here(project: Path, heard: Any) -> Context:
    """A context that needs no server."""
    return Context(Workspace(project / ".charpipe"), load_config(), Registry(), emit=heard)
