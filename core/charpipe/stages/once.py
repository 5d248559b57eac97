"""The one answer to "is it done already?".

A stage describes its work as a `Computation`. Its `find` is what decides: whether the stage is skipped, what a dry run
says, and whether the stage's task is shown as Cached.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from charpipe.events import StageFinished, StageStarted
from charpipe.stages.stage import Context

T = TypeVar("T")


class WouldRun(Exception):  # noqa: N818  not an error
    """A dry run has come to a stage that is not done yet."""

    @classmethod
    def of(cls, stage: str, work: str, why: str = "") -> WouldRun:
        """`train: would run (first time with these settings), and all after it`."""
        return cls(f"{stage}: would {work}{f' ({why})' if why else ''}, and all after it")


@dataclass(frozen=True)
class Found(Generic[T]):
    """Whether work is done: its `result`; or None, `why` it is not, and what is to do (`work`, an infinitive)."""

    result: T | None = None
    why: str = ""
    work: str = "run"


class Computation(ABC, Generic[T]):
    """Work of a stage that is done once for the same inputs, settings and code."""

    stage: str

    @abstractmethod
    def find(self) -> Found[T]:
        """Look for the result of earlier work. Computes nothing."""

    @abstractmethod
    def make(self) -> T:
        """Do the work."""

    @abstractmethod
    def summary(self, result: T) -> str:
        """The result in a few words, for people."""

    def facts(self, result: T) -> Mapping[str, Any]:
        """The result's facts, for programs."""
        return {}

    def seconds(self, result: T, elapsed: float) -> float:
        """How long the work took, where `make` took `elapsed`."""
        return elapsed

    def prepare(self) -> None:
        """Raise what makes the work impossible, before it starts."""

    def lock(self) -> AbstractContextManager[Any]:
        """Held while the work is done: of two processes that want the same, one waits."""
        return nullcontext()


def is_done(context: Context, computation: Computation[T]) -> Found[T]:
    """Whether the work is done already; work that is forced never is."""
    if computation.stage in context.force:
        return Found(why="forced")
    return computation.find()


def once(context: Context, computation: Computation[T]) -> T:
    """The result of the work: found, or made now. Tells the listener which.

    Raises WouldRun in a dry run where there is something to do.
    """
    found = is_done(context, computation)
    if found.result is None:
        if context.dry_run:
            raise WouldRun.of(computation.stage, found.work, found.why)
        with computation.lock():
            found = is_done(context, computation)
            if found.result is None:
                return _made(context, computation, found.why)
    return skipped(context, computation, found.result)


def skipped(context: Context, computation: Computation[T], result: T) -> T:
    """Tell the listener that the work was done before."""
    finished = StageFinished(
        computation.stage, computation.summary(result), 0.0, skipped=True, facts=computation.facts(result)
    )
    context.emit(finished)
    return result


def _made(context: Context, computation: Computation[T], why: str) -> T:
    computation.prepare()
    context.emit(StageStarted(computation.stage, why))
    started = time.monotonic()
    result = computation.make()
    seconds = computation.seconds(result, time.monotonic() - started)
    summary, facts = computation.summary(result), computation.facts(result)
    context.emit(StageFinished(computation.stage, summary, seconds, facts=facts))
    return result
