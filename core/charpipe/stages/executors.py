"""Executors: what runs the stages that a pipeline calls, one at a time or several; and the one of this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from charpipe.errors import UsageError
from charpipe.stages.pool import run_at_once

if TYPE_CHECKING:
    from charpipe.stages.context import Context
    from charpipe.stages.stage import Stage

P = ParamSpec("P")
R = TypeVar("R")
Arguments = tuple[Any, ...]
Launch = Callable[["Stage[..., Any]", "Context", Arguments], Any]
"""Makes one call of a stage."""


def _here(stage: Stage[..., Any], context: Context, arguments: Arguments) -> Any:
    return stage.carry_out(context, *arguments)


@dataclass(frozen=True)
class Parallel:
    """How the calls of one `Executor.map` run: `at_once` at a time, on the engine `runner` ("local" is this machine).

    `launch` makes one call on this machine; unset: in this process. `watch(launch, stage, context, arguments)` makes a
    call by any launch, and may change its context.
    """

    at_once: int = 1
    launch: Launch | None = None
    runner: str = "local"
    watch: Callable[[Launch, Stage[..., Any], Context, Arguments], Any] | None = None

    def call(
        self, stage: Stage[..., Any], context: Context, arguments: Arguments, launch: Launch | None = None
    ) -> Any:
        """Make one call, by `launch` if the executor has its own."""
        launch = launch or self.launch or _here
        if self.watch is None:
            return launch(stage, context, arguments)
        return self.watch(launch, stage, context, arguments)


class Executor(Protocol):
    """Runs stages."""

    def run(self, stage: Stage[P, R], context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the stage; returns what it returns and raises what it raises."""
        ...

    def map(
        self, stage: Stage[..., R], context: Context, calls: Iterable[Arguments], parallel: Parallel
    ) -> Iterator[tuple[Arguments, R]]:
        """Call the stage with each of these arguments, several at a time; see `charpipe.stages.pool.run_at_once`."""
        ...


class Direct:
    """Runs stages in this process."""

    def run(self, stage: Stage[P, R], context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        return stage.carry_out(context, *args, **kwargs)

    def map(
        self, stage: Stage[..., R], context: Context, calls: Iterable[Arguments], parallel: Parallel
    ) -> Iterator[tuple[Arguments, R]]:
        if parallel.runner != "local":
            raise UsageError(
                f"--runner {parallel.runner} works only in a Prefect flow, as `charpipe run` starts one where Prefect "
                "answers: in Python and without it use --runner local"
            )

        stop = context.stop.own()
        context = replace(context, stop=stop)

        def call(arguments: Arguments) -> R:
            found: R = parallel.call(stage, context, arguments)
            return found

        return run_at_once(call, calls, parallel.at_once, stop.end)


DIRECT = Direct()
