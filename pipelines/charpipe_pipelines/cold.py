"""A flow opened by its parameters alone: in a process of `charpipe serve` or of a worker, or by Retry in the page.

Called by the command line a flow finds its session waiting; called cold it makes one of its own, and takes SIGTERM, by
which runners cancel, for a wish to stop, so that training saves first.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from charpipe.cli.environment import open_registry, open_workspace
from charpipe.config import load_config
from charpipe.config.schema import SETTINGS
from charpipe.events import Event, Notice, StageFinished, TrainingStarted
from charpipe.runs import Run
from charpipe.stages import Session
from charpipe.workspace import VARIABLE, Workspace
from charpipe_pipelines.current import Current, current, flow_run
from charpipe_pipelines.page import Page
from charpipe_pipelines.server import choose

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def opened(pipeline: str, settings: Mapping[str, Any], workspace: str | None) -> Iterator[Current]:
    """What the flow works with; to be entered first thing in its function. Raises UsageError for wrong settings."""
    waiting = current.get(None)
    if waiting is not None:
        _sign()
        yield waiting
        return
    session = _session(pipeline, settings, workspace)
    page = Page(session.stop)
    api = choose(session.workspace, session.config.prefect.api_url, session.emit)
    api = dataclasses.replace(api, url=api.url or os.environ.get("PREFECT_API_URL", ""))
    now = Current(linked(session, page), page, api)
    token = current.set(now)
    try:
        with _stopped_by_signals(session):
            yield now
    finally:
        current.reset(token)


def linked(session: Session, page: Page) -> Session:
    """The same session, whose events go to the flow run's page too, and whose training run names the flow run."""

    def emit(event: Event) -> None:
        if isinstance(event, TrainingStarted):
            Run(session.workspace.runs / event.run).update(prefect=flow_run())
        page(event)
        session.emit(event)

    return dataclasses.replace(session, emit=emit)


def _session(pipeline: str, settings: Mapping[str, Any], workspace: str | None) -> Session:
    chosen = {key: value for key, value in settings.items() if key.partition(".")[0] in SETTINGS}
    resolved = load_config(pipeline=pipeline, settings=chosen)
    room = Workspace(Path(workspace)) if workspace and not os.environ.get(VARIABLE) else open_workspace()
    return Session(room, resolved, open_registry(), emit=_say)


def _say(event: Event) -> None:
    """A line for the log of whoever started this process."""
    if isinstance(event, Notice):
        print(event.message, flush=True)  # noqa: T201
    elif isinstance(event, StageFinished):
        print(f"{event.stage}: {event.summary}", flush=True)  # noqa: T201


@contextmanager
def _stopped_by_signals(session: Session) -> Iterator[None]:
    def on_signal(number: int, frame: FrameType | None) -> None:
        session.stop.request(number)

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
    """Let the flow run name this process, so that its death can be told from outside."""
    import prefect.runtime
    from prefect.context import SyncClientContext

    from charpipe_pipelines.deployments.strays import whose

    context, id_ = SyncClientContext.get(), prefect.runtime.flow_run.id
    if context is not None and id_ is not None:
        with suppress(Exception):  # a courtesy to whoever looks later
            context.client.update_flow_run(id_, infrastructure_pid=whose())
