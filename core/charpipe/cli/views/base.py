"""The contract of a view: a listener that is opened, told of events, and asked to show the outcome."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from charpipe.errors import JsonResult
from charpipe.events import Event


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

    def fail(self, error: Exception, lines: Iterable[str] = ()) -> None:
        """Take in that the pipeline ended by an error, which is reported elsewhere to people; `lines` show what came
        of the rest, where only a part failed."""

    def finish(self, result: JsonResult, lines: Iterable[str] = (), *, dry_run: bool = False) -> None:
        """Show what came of it: `lines` to people, `result` to programs."""
