"""Decides whether a stage's work is already done.

A stage describes its work as a `Computation`. Its `find` decides whether the stage is skipped, what a dry run
prints, and whether the stage's task is shown as Cached.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from charpipe.events import StageFinished, StageStarted
from charpipe.stages.context import Context

T = TypeVar("T")


class WouldRun(Exception):  # noqa: N818  not an error
    """A dry run has reached a stage that is not done yet."""

    @classmethod
    def of(cls, stage: str, work: str, why: str = "") -> WouldRun:
        """`train: would run (first time with these settings), and all after it`."""
        return cls(f"{stage}: would {work}{f' ({why})' if why else ''}, and all after it")


@dataclass(frozen=True)
class Found(Generic[T]):
    """Whether work is done: its `result`; or None, `why` it is not done, and what to do (`work`, an infinitive)."""

    result: T | None = None
    why: str = ""
    work: str = "run"


class Computation(ABC, Generic[T]):
    """Work that a stage does once for the same inputs, settings and code."""

    stage: str

    @abstractmethod
    def find(self) -> Found[T]:
        """Look up the result of earlier work, without computing anything."""

    @abstractmethod
    def make(self) -> T:
        """Do the work."""

    @abstractmethod
    def summary(self, result: T) -> str:
        """The result in a few words, for display."""

    def facts(self, result: T) -> Mapping[str, Any]:
        """The result's facts, as structured data."""
        return {}

    def seconds(self, result: T, elapsed: float) -> float:
        """How long the work took, if `make` took `elapsed`."""
        return elapsed

    def prepare(self) -> None:
        """Raise if the work is impossible, before it starts."""

    def lock(self) -> AbstractContextManager[Any]:
        """A lock held during the work: of two processes that want the same result, one waits."""
        return nullcontext()


def is_done(context: Context, computation: Computation[T]) -> Found[T]:
    """Whether the work is already done; forced work never is."""
    if computation.stage in context.force:
        return Found(why="forced")
    return computation.find()


def once(context: Context, computation: Computation[T]) -> T:
    """The result of the work, found or computed now; reports which to the listener.

    Raises WouldRun in a dry run if there is work to do.
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
    """Report to the listener that the work was already done."""
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
