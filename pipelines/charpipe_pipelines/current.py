"""The session of the flow that runs in this thread: tasks find it here, since it is no data to be passed about."""

from __future__ import annotations

from contextlib import ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from charpipe.stages import Session
from charpipe_pipelines.ahead import Ahead
from charpipe_pipelines.page import Page
from charpipe_pipelines.server import Api


@dataclass
class Current:
    """A session, its page in Prefect, and what came of it so far, whatever becomes of Prefect meanwhile."""

    session: Session
    page: Page
    api: Api
    ahead: Ahead | None = None
    """What was begun before the server answered."""
    result: dict[str, Any] | None = None
    error: BaseException | None = None
    settings: ExitStack = field(default_factory=ExitStack)
    states: dict[int, Any] = field(default_factory=dict)


current: ContextVar[Current] = ContextVar("charpipe-session")


def flow_run() -> dict[str, Any]:
    """The id and page of the flow run that this thread works for, as a training run remembers it."""
    import prefect.runtime

    return {"flow_run_id": str(prefect.runtime.flow_run.id), "url": prefect.runtime.flow_run.ui_url}
