"""Recipes as Prefect flows, with plain JSON parameters.

`charpipe_pipelines.flows.NAME` is the flow of the pipeline NAME, of a plugin's pipeline too: an entrypoint for
deployments.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from prefect import Flow, flow
from prefect.events import emit_event
from prefect.states import Cancelled, Completed

from charpipe.cli.environment import open_registry
from charpipe.errors import InterruptedRun, UsageError
from charpipe.plugin import Pipeline, PipelineResult
from charpipe.stages.recipes import load
from charpipe_pipelines.flow_context import FlowContext, opened
from charpipe_pipelines.tasks import TaskExecutor


def flow_of(pipeline: Pipeline) -> Flow[Any, Any]:
    """The flow of a recipe. `project` is the project that a pool's workers must have, as `charpipe deploy` saw it."""

    @flow(name=pipeline.name, description=pipeline.summary, validate_parameters=False, persist_result=False)
    def run(
        options: dict[str, Any],
        settings: dict[str, Any],
        workspace: str | None = None,
        project: dict[str, Any] | None = None,
    ) -> Any:
        with opened(pipeline.name, settings, options.get("corpus"), workspace, project) as found:
            return _carry_out(pipeline, options, found)

    return run


@cache
def flow_named(name: str) -> Flow[Any, Any]:
    """The flow of the pipeline with this name. Raises UsageError for an unknown one."""
    return flow_of(open_registry().pipeline(name))


def __getattr__(name: str) -> Any:
    """The flow of the pipeline with this name, for whoever imports it by its path; with `_` for `-`, as deployments of
    earlier releases have it."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    known = open_registry().all("pipeline")
    earlier = name.replace("_", "-")
    try:
        return flow_named(earlier if name not in known and earlier in known else name)
    except UsageError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: {error}") from error


def _carry_out(pipeline: Pipeline, options: Mapping[str, Any], found: FlowContext) -> Any:
    """The flow's result, or its final state."""
    executor = TaskExecutor(found.progress, found.api, found.settings, found.ahead)
    try:
        context = found.context.with_executor(executor)
        found.result = load(pipeline)(context, pipeline.options(**options))
    except InterruptedRun as error:
        found.error = error
        return Cancelled(message=str(error))
    finally:
        found.error = found.error or executor.error
        if found.api.is_there():  # it receives the end of the flow, too
            found.progress.finish(found.result)
    return _concluded(found.result)


def _concluded(result: PipelineResult) -> Any:
    """The result, emitted as an event for automations; a state named Skipped where there was nothing to do."""
    reason = result.skipped()
    if reason is not None:
        return Completed(name="Skipped", message=reason, data=result)
    announcement = result.announcement()
    if announcement is not None:
        resource = {"prefect.resource.id": f"charpipe.model.{announcement.subject}"}
        with suppress(Exception):  # best effort: the decision holds without it
            emit_event(f"charpipe.{announcement.name}", resource, payload=dict(announcement.facts))
    return result
