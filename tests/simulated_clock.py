"""A clock for training that only updates advance, each by as many seconds as the test says: budgets without waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from charpipe.training import budget, loop, monitor, planner


class Clock:
    """Stands in for the module `time` where training reads it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def simulate(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[float], float]) -> Clock:
    """Let an update that begins at the moment `now` take `seconds(now)`, and everything else nothing."""
    clock, build_update = Clock(), loop.build_update

    def build_timed(*arguments: Any) -> Any:
        update = build_update(*arguments)

        def timed(*arguments: Any) -> Any:
            clock.now += seconds(clock.now)
            return update(*arguments)

        return timed

    for module in (budget, loop, monitor, planner):
        monkeypatch.setattr(module, "time", clock)
    for module in (loop, planner):
        monkeypatch.setattr(module, "build_update", build_timed)
    return clock
