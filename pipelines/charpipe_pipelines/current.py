"""The session of the flow that runs in this thread: tasks find it here, since it is no data to be passed about."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from charpipe.stages import Session
from charpipe_pipelines.page import Page


@dataclass
class Current:
    """A session, its page in Prefect, and what came of it so far, whatever becomes of Prefect meanwhile."""

    session: Session
    page: Page
    result: dict[str, Any] | None = None
    error: BaseException | None = None
    skipped: set[str] = field(default_factory=set)


current: ContextVar[Current] = ContextVar("charpipe-session")
