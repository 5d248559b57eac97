"""A clock for training that only updates advance, each by as many seconds as the test says: budgets without waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from charpipe.training import budget, loop, observation


class Clock:
    """Stands in for the module `time` where training reads it."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


def simulate(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[float], float]) -> Clock:
    """Let an update that begins at the moment `now` take `seconds(now)`, and everything else nothing."""
    clock, update = Clock(), loop.update

    def timed(*arguments: Any) -> Any:
        clock.now += seconds(clock.now)
        return update(*arguments)

    for module in (budget, loop, observation):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(loop, "update", timed)
    return clock
