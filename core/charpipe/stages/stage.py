"""Stages: typed functions, registered by name.

A stage is a typed function with a decorator:

    @stage("ingest", "Fetch the source and read it into documents.", forcible=True)
    def ingest(context: Context, corpus: str) -> StageOutput: ...

A call of it goes to the context's executor, which runs it in this process, as a Prefect task, or in another way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from charpipe.stages.executors import DIRECT, Arguments, Parallel

if TYPE_CHECKING:
    from charpipe.stages.context import Context

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Retry:
    """Which errors are retried, and the delay in seconds before each retry."""

    on: Callable[[BaseException], bool]
    seconds: tuple[int, ...]


class Remote(Protocol):
    """How a call of a stage is made in another process: `python -m MODULE` reads `request` from its standard input."""

    module: str

    def request(self, context: Context, *args: Any) -> dict[str, Any]:
        """The call as JSON."""
        ...

    def result(self, value: Mapping[str, Any]) -> Any:
        """What the call returns, from JSON."""
        ...

    def is_done(self, result: Any) -> bool:
        """Whether a dry run's result is that of finished work."""
        ...

    def failed(self, reason: str, run: str, *args: Any) -> Any:
        """The result of a call whose process died for this reason; `run` is the run that it had begun, or empty."""
        ...


class Stage(Generic[P, R]):
    """A registered stage. Calling it passes the call to the context's executor; `body` is the plain function."""

    def __init__(
        self,
        body: Callable[Concatenate[Context, P], R],
        name: str,
        summary: str,
        *,
        forcible: bool = False,
        retry: Retry | None = None,
        label: Callable[..., str] | None = None,
        remote: Remote | None = None,
    ) -> None:
        self.remote = remote
        self.body, self.name, self.summary = body, name, summary
        self.forcible, self.retry = forcible, retry
        self._label = label
        functools.update_wrapper(self, body)

    def __call__(self, context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        return context.executor.run(self, context, *args, **kwargs)

    def map(
        self, context: Context, calls: Iterable[Arguments], parallel: Parallel
    ) -> Iterator[tuple[Arguments, R]]:
        """Yield each of `calls`, the arguments of one call, with its result, in order of completion."""
        return context.executor.map(self, context, calls, parallel)

    def carry_out(self, context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the body, in this thread; stages that it calls are part of it."""
        if context.executor is not DIRECT:
            context = replace(context, executor=DIRECT)
        return self.body(context, *args, **kwargs)

    def label(self, *args: Any, **kwargs: Any) -> str:
        """The name of one call of the stage: the stage's name, or a label made from the arguments."""
        return self.name if self._label is None else self._label(*args, **kwargs)


_STAGES: dict[str, Stage[..., Any]] = {}


def stage(
    name: str,
    summary: str,
    *,
    forcible: bool = False,
    retry: Retry | None = None,
    label: Callable[..., str] | None = None,
    remote: Remote | None = None,
) -> Callable[[Callable[Concatenate[Context, P], R]], Stage[P, R]]:
    """Register a function as the stage `name`; `summary` describes it in a sentence.

    `forcible`: whether `--force` accepts it. `retry`: which errors are retried, by executors that support it.
    `label`: names a call by its arguments, where a pipeline calls the stage several times. `remote`: how a call is made
    in another process, where it can be.
    """

    def register(body: Callable[Concatenate[Context, P], R]) -> Stage[P, R]:
        other = _STAGES.get(name)
        if other is not None and other.body.__module__ != body.__module__:
            raise ValueError(
                f"two stages are named {name!r}: in {other.body.__module__} and {body.__module__}"
            )
        made = Stage(body, name, summary, forcible=forcible, retry=retry, label=label, remote=remote)
        _STAGES[name] = made
        return made

    return register


def registered() -> Mapping[str, Stage[..., Any]]:
    """The stages of all imported modules, by name."""
    return dict(_STAGES)
