"""The protocol of parallel maps, and the one that runs in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

Function = Callable[..., Any]
"""A function of a module that can be imported, with JSON as keyword arguments and result."""
Call = TypeVar("Call")


class ParallelMap(Protocol):
    """Calls functions for many arguments."""

    @property
    def processes(self) -> int:
        """How many calls run at once."""
        ...

    @property
    def shares_files(self) -> bool:
        """Whether several calls may write to one file, and see what others have mapped: processes of one machine may,
        machines that mount a folder over a network may not."""
        ...

    def map(
        self,
        function: Function,
        arguments: Iterable[Mapping[str, Any]],
        waiting: Callable[[], None] = lambda: None,
        ahead: int = 0,
    ) -> Iterator[Any]:
        """The results of `function(**each)`, in the order of the arguments, which are taken as they are needed.

        `waiting` is called several times a second while a result is awaited, and may raise to stop. `ahead`: calls that
        may be begun before the result of the first is there, beside one for each process.
        Raises what a call raises.
        """
        ...


class Direct:
    """Calls functions one after another, in this process."""

    processes, shares_files = 1, True

    def map(
        self,
        function: Function,
        arguments: Iterable[Mapping[str, Any]],
        waiting: Callable[[], None] = lambda: None,
        ahead: int = 0,
    ) -> Iterator[Any]:
        """See `ParallelMap.map`."""
        for each in arguments:
            waiting()
            yield function(**each)


DIRECT = Direct()


def in_order(
    calls: Iterable[Call],
    pending: deque[Call],
    is_done: Callable[[Call], bool],
    result: Callable[[Call], Any],
    most: int,
    waiting: Callable[[], None],
) -> Iterator[Any]:
    """The results of calls, in their order. Taking a call from `calls` begins it; `pending` holds those that were begun
    and whose results nobody has taken, `most` of them at the most. `waiting` is called after each that was begun."""

    def take() -> Any:
        found = result(pending[0])
        pending.popleft()
        return found

    for call in calls:
        pending.append(call)
        while len(pending) > most or (pending and is_done(pending[0])):
            yield take()
        waiting()
    while pending:
        yield take()
