"""What a flow works with: the context of its stages, its progress in Prefect, the server it reports to.

A flow started by the command line is given its context. A flow started from its parameters alone (in a process of
`charpipe serve` or of a worker, or by Retry in Prefect's UI) creates one, and treats SIGTERM, by which runners cancel,
as a request to stop, so that training saves first.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import prefect.runtime
from prefect.context import SyncClientContext

from charpipe.cli.environment import open_registry, open_workspace
from charpipe.config import load_config
from charpipe.config.schema import SETTINGS
from charpipe.events import Event, Notice, StageFinished, TrainingStarted
from charpipe.plugin import PipelineResult
from charpipe.runs import Run
from charpipe.stages import Context
from charpipe.workspace import VARIABLE, Workspace
from charpipe_pipelines.deployments.projects import check_project, describe_project, enter_project
from charpipe_pipelines.early_stages import EarlyStages
from charpipe_pipelines.orphans import whose
from charpipe_pipelines.progress import FlowProgress
from charpipe_pipelines.server import Api, choose

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass
class FlowContext:
    """A context, its progress in Prefect, and its results so far, kept independently of Prefect."""

    context: Context
    progress: FlowProgress
    api: Api
    ahead: EarlyStages | None = None
    """What was begun before the server answered."""
    result: PipelineResult | None = None
    error: BaseException | None = None
    settings: ExitStack = field(default_factory=ExitStack)


waiting: ContextVar[FlowContext] = ContextVar("charpipe-flow")
"""What the flow that is called next in this thread works with."""


@contextmanager
def opened(
    pipeline: str,
    settings: Mapping[str, Any],
    corpus: str | None = None,
    workspace: str | None = None,
    project: Mapping[str, Any] | None = None,
) -> Iterator[FlowContext]:
    """The context of the flow; enter it first in the flow function.

    With `project`, the run came from `charpipe deploy`, and this process is a worker's: it works in the worker's own
    project and workspace. Raises UsageError for invalid settings, and if the project is not the one that was deployed.
    """
    found = waiting.get(None)
    if found is not None:
        _sign()
        yield found
        return
    if project is not None:
        enter_project()
    context = _context(pipeline, settings, workspace)
    if project is not None:
        check_project(project, describe_project(context.resolved, context.registry, corpus))
    progress = FlowProgress(context.stop)
    api = choose(context.workspace, context.config.prefect.api_url, context.emit)
    api = dataclasses.replace(api, url=api.url or os.environ.get("PREFECT_API_URL", ""))
    made = FlowContext(linked(context, progress), progress, api)
    token = waiting.set(made)
    try:
        with _stopped_by_signals(context):
            yield made
    finally:
        waiting.reset(token)


def linked(context: Context, progress: FlowProgress) -> Context:
    """The same context, also sending events to the flow run's page, and storing the flow run with the training run."""

    def emit(event: Event) -> None:
        if isinstance(event, TrainingStarted) and event.host is None:  # elsewhere the run's process does it
            Run(context.workspace.runs / event.run).update(prefect=progress.flow_run())
        progress(event)
        context.emit(event)

    return dataclasses.replace(context, emit=emit)


def _context(pipeline: str, settings: Mapping[str, Any], workspace: str | None) -> Context:
    chosen = {key: value for key, value in settings.items() if key.partition(".")[0] in SETTINGS}
    resolved = load_config(pipeline=pipeline, settings=chosen)
    place = Workspace(Path(workspace)) if workspace and not os.environ.get(VARIABLE) else open_workspace()
    return Context(place, resolved, open_registry(), emit=_print)


def _print(event: Event) -> None:
    """Print a line to the log of the process that started this one."""
    if isinstance(event, Notice):
        print(event.message, flush=True)  # noqa: T201
    elif isinstance(event, StageFinished):
        print(f"{event.stage}: {event.summary}", flush=True)  # noqa: T201


@contextmanager
def _stopped_by_signals(context: Context) -> Iterator[None]:
    def on_signal(number: int, frame: FrameType | None) -> None:
        context.stop.request(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, on_signal) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sign() -> None:
    """Record this process in the flow run, so that other processes can detect its death."""
    client_context, id_ = SyncClientContext.get(), prefect.runtime.flow_run.id
    if client_context is not None and id_ is not None:
        with suppress(Exception):  # best effort, only for later inspection
            client_context.client.update_flow_run(id_, infrastructure_pid=whose())
