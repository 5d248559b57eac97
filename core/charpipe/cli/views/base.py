"""The contract of a view: a listener that is opened, told of events, and asked to show the outcome."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from charpipe.events import Event
from charpipe.stages.session import Session


class View:
    """Shows a pipeline at work."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def __call__(self, event: Event) -> None:
        """Take in one event. Called from the thread that works."""

    def fail(self, error: Exception) -> None:
        """Take in that the pipeline ended by an error, which is reported elsewhere to people."""

    def finish(self, result: Mapping[str, Any], session: Session) -> None:
        """Show what came of it."""
