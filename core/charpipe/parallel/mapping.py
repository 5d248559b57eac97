"""The protocol of parallel maps, and the one that runs in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

Function = Callable[..., Any]
"""A function of a module that can be imported, with JSON as keyword arguments and result."""


class ParallelMap(Protocol):
    """Calls functions for many arguments."""

    @property
    def processes(self) -> int:
        """How many calls run at once."""
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

    processes = 1

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
