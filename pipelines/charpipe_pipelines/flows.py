"""What every flow does around its work: opens its session, says when it was cut off, finishes its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prefect.states import Cancelled

from charpipe.errors import InterruptedRun
from charpipe.plugin import Options
from charpipe_pipelines.cold import opened
from charpipe_pipelines.job import Work
from charpipe_pipelines.tasks import as_task


def perform(
    pipeline: str,
    work: Work,
    kind: type[Options],
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    workspace: str | None,
    conclude: Callable[[dict[str, Any]], Any] = lambda result: result,
) -> Any:
    """The flow's result, or the state that it ends in; `conclude` makes either of what the work returned."""
    with opened(pipeline, settings, workspace) as now:
        try:
            now.result = work(as_task, kind(**options))
        except InterruptedRun as error:
            now.error = error
            return Cancelled(message=str(error))
        finally:
            if now.api.is_there():  # the flow's end is told to it, too
                now.page.finish(now.result)
        return conclude(now.result)
