"""The final states of tasks, as Prefect's page shows them."""

from __future__ import annotations

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from charpipe.events import Event, Listener, StageFailed, StageFinished


class TaskOutcome:
    """A listener that forwards events, and remembers how the most recently reported stage ended."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._last: StageFinished | StageFailed | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageFinished | StageFailed):
            self._last = event
        self._listener(event)

    def following(self, listener: Listener) -> TaskOutcome:
        """Forward events that come from elsewhere."""
        self._listener = listener
        return self

    def state(self, result: Any, failed: str = "") -> State[Any]:
        """The state of the task that returned `result`; `failed` is why there is none, if no event said so."""
        last = self._last
        reason = last.reason if isinstance(last, StageFailed) else failed
        if reason:
            return Completed(name="Failed", message=reason, data=result)
        summary = last.summary if isinstance(last, StageFinished) else ""
        if isinstance(last, StageFinished) and last.skipped:
            return Completed(name="Cached", message=f"{summary}: already done", data=result)
        return Completed(message=summary, data=result)
