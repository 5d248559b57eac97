"""Stages as Prefect tasks.

The store decides what is skipped: Prefect's own caching is off, and a task whose work was already done ends in a state
named Cached.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled

from charpipe.errors import CharpipeError, InterruptedRun
from charpipe.stages import Context, Parallel, Stage
from charpipe.stages.context import ignore
from charpipe.stages.executors import Arguments
from charpipe.stages.pool import run_at_once
from charpipe.stages.processes import known_result
from charpipe_pipelines.task_states import TaskOutcome

if TYPE_CHECKING:
    from charpipe_pipelines.early_stages import EarlyStages
    from charpipe_pipelines.progress import FlowProgress
    from charpipe_pipelines.server import Api

P = ParamSpec("P")
R = TypeVar("R")
ALONE = Parallel()


class ServerLostError(CharpipeError):
    """Prefect's server no longer answers."""


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
        call = _Call(self, stage, context, args, kwargs)
        self.error = None
        try:
            result: R = self._run(call)
        except ServerLostError:
            self._expect_no_server()
            raise
        finally:
            self.error = call.error
        return result

    def map(
        self, stage: Stage[..., R], context: Context, calls: Iterable[Arguments], parallel: Parallel
    ) -> Iterator[tuple[Arguments, R]]:
        stop = context.stop.own()
        context = replace(context, flow_run=self._progress.flow_run(), stop=stop)
        errors: list[BaseException] = []
        self.error = None
        if parallel.runner == "ray":
            try:
                yield from self._map_on_ray(stage, context, calls, parallel)
            except ServerLostError:
                self._expect_no_server()
                raise
            except CharpipeError as error:
                self.error = error
                raise
            return

        def make(arguments: Arguments) -> R:
            call = _Call(self, stage, context, arguments, {}, parallel)
            try:
                result: R = self._run(call)
            finally:
                if call.error is not None:
                    errors.append(call.error)
            return result

        try:
            yield from run_at_once(make, calls, parallel.at_once, stop.end)
        except ServerLostError:
            self._expect_no_server()
            raise
        except Exception as error:
            self.error = error if any(error is one for one in errors) else None
            raise

    def _map_on_ray(
        self, stage: Stage[..., R], context: Context, calls: Iterable[Arguments], parallel: Parallel
    ) -> Iterator[tuple[Arguments, R]]:
        """Like `map`, with each call a task on the cluster; those whose work is done are tasks of this process."""
        from charpipe_pipelines.cluster.trials import ray_launch

        quiet = replace(context, emit=ignore)
        with ray_launch(context, parallel.at_once, self._progress) as (launch, at_once):

            def make(arguments: Arguments) -> R:
                if known_result(stage, quiet, arguments) is not None:
                    found: R = self._run(_Call(self, stage, context, arguments, {}))
                else:
                    found = parallel.call(stage, context, arguments, launch)
                return found

            yield from run_at_once(make, calls, at_once, context.stop.end)

    def _run(self, call: _Call) -> Any:
        """Make a call in a task; returns its result, and raises what it raised."""
        if not self._api.is_there():
            raise ServerLostError(f"the server at {self._api.url} no longer answers")
        waited = self._states_of((*call.args, *call.kwargs.values()))
        state: Any = task_of(call.stage)(call, wait_for=waited)
        if call.error is not None:
            raise call.error
        self._produced.append(_Produced(call.result, state))
        return call.result

    def _expect_no_server(self) -> None:
        """Keep Prefect from waiting for a server that is gone."""
        self._settings.enter_context(temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}))

    def carry_out(self, call: _Call) -> State[Any]:
        """Run a call in its task; returns the final state of the task."""
        stage, context = call.stage, call.context
        self._progress.enter(call.name)
        outcome = TaskOutcome(context.emit)
        if self._ahead is not None and self._ahead.has_started(stage.name):
            call.result = self._ahead.take(outcome.following(self._progress), self._progress.flow_run())
        else:
            call.result = call.make(replace(context, emit=outcome))
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
        parallel: Parallel = ALONE,
    ) -> None:
        self.executor, self.stage, self.context = executor, stage, context
        self.args, self.kwargs, self.parallel = args, kwargs, parallel
        self.result: Any = None
        self.error: BaseException | None = None

    @property
    def name(self) -> str:
        """The name of its task: the stage's, or a label of this call."""
        return self.stage.label(*self.args, **self.kwargs)

    def make(self, context: Context) -> Any:
        """Call the stage."""
        if self.kwargs:
            return self.stage.carry_out(context, *self.args, **self.kwargs)
        return self.parallel.call(self.stage, context, self.args)


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
    return call.name


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
