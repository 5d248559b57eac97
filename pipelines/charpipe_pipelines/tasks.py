"""Stages as Prefect tasks.

The store decides what is skipped: Prefect's own caching is off, and a task whose work was already done ends in a state
named Cached.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Completed

from charpipe.errors import CharpipeError, InterruptedRun
from charpipe.events import Event, Listener, StageFailed, StageFinished
from charpipe.stages import Context, Stage

if TYPE_CHECKING:
    from charpipe_pipelines.early_stages import EarlyStages
    from charpipe_pipelines.progress import FlowProgress
    from charpipe_pipelines.server import Api

P = ParamSpec("P")
R = TypeVar("R")


class TaskExecutor:
    """Runs each stage as a task of the flow that runs in this thread.

    `settings` holds Prefect settings that apply until the flow ends; `ahead` has the stages started before it.
    """

    def __init__(
        self, progress: FlowProgress, api: Api, settings: ExitStack, ahead: EarlyStages | None = None
    ) -> None:
        self.error: BaseException | None = None
        """What the last stage raised, whatever Prefect makes of it."""
        self._progress, self._api, self._settings, self._ahead = progress, api, settings, ahead
        self._produced: list[_Produced] = []

    def run(self, stage: Stage[P, R], context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        if not self._api.is_there():
            # keep Prefect from waiting for a server that is gone
            self._settings.enter_context(temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}))
            raise CharpipeError(f"the server at {self._api.url} no longer answers")
        call = _Call(self, stage, context, args, kwargs)
        self.error = None
        try:
            state: Any = task_of(stage)(call, wait_for=self._states_of((*args, *kwargs.values())))
        finally:
            self.error = call.error
        if call.error is not None:
            raise call.error
        result: R = call.result
        self._produced.append(_Produced(result, state))
        return result

    def carry_out(self, call: _Call) -> State[Any]:
        """Run a call in its task; returns the final state of the task."""
        stage, context = call.stage, call.context
        self._progress.enter(stage.name)
        outcome = _Outcome(context.emit)
        if self._ahead is not None and self._ahead.has_started(stage.name):
            call.result = self._ahead.take(outcome.following(self._progress), self._progress.flow_run())
        else:
            call.result = stage.carry_out(replace(context, emit=outcome), *call.args, **call.kwargs)
        return outcome.state(call.result)

    def _states_of(self, arguments: tuple[Any, ...]) -> list[State[Any]]:
        """The states of the tasks that returned these values, so that Prefect draws the dependencies."""
        return [one.state for one in self._produced if any(one.value is value for value in arguments)]


@dataclass(frozen=True)
class _Produced:
    """A result, and the final state of the task that returned it."""

    value: Any
    state: State[Any]


class _Call:
    """One call of a stage, and its outcome."""

    def __init__(
        self,
        executor: TaskExecutor,
        stage: Stage[..., Any],
        context: Context,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self.executor, self.stage, self.context = executor, stage, context
        self.args, self.kwargs = args, kwargs
        self.result: Any = None
        self.error: BaseException | None = None


class _Outcome:
    """A listener that forwards events, and remembers how the most recently reported stage ended."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._last: StageFinished | StageFailed | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, StageFinished | StageFailed):
            self._last = event
        self._listener(event)

    def following(self, listener: Listener) -> _Outcome:
        """Forward events that come from elsewhere."""
        self._listener = listener
        return self

    def state(self, result: Any) -> State[Any]:
        """The state of the task that returned `result`."""
        last = self._last
        if isinstance(last, StageFailed):
            return Completed(name="Failed", message=last.reason, data=result)
        summary = last.summary if last is not None else ""
        if last is not None and last.skipped:
            return Completed(name="Cached", message=f"{summary}: already done", data=result)
        return Completed(message=summary, data=result)


@cache
def task_of(stage: Stage[..., Any]) -> Task[[_Call], Any]:
    """The Prefect task of a registered stage."""
    options: dict[str, Any] = {"task_run_name": _label, "cache_policy": NO_CACHE, "persist_result": False}
    if stage.retry is not None:
        worth_it, seconds = stage.retry.on, stage.retry.seconds
        options |= {
            "retries": len(seconds),
            "retry_delay_seconds": list(seconds),
            "retry_condition_fn": lambda _task, _run, state: worth_it(state.data),
        }
    return task(name=stage.name, description=stage.summary, **options)(_carry_out)


def _label(parameters: dict[str, Any]) -> str:
    call: _Call = parameters["call"]
    return call.stage.label(*call.args, **call.kwargs)


def _carry_out(call: _Call) -> Any:
    call.error = None
    try:
        return call.executor.carry_out(call)
    except InterruptedRun as error:
        call.error = error
        return Cancelled(message=str(error))
    except BaseException as error:
        call.error = error
        raise
