"""Speeds are measured over updates that are not the first."""

import itertools

import numpy as np
import pytest

from charpipe.config.settings.training import TrainConfig
from charpipe.models import build_model
from charpipe.training import speed
from charpipe_lstm import charpipe_architectures


def test_the_time_that_the_first_updates_take_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """They compile kernels. Each later update takes a second here: five of them fit into five seconds."""
    now, (architecture,) = itertools.count(), charpipe_architectures()
    seconds = {"at": 0.0}

    def clock() -> float:
        return seconds["at"]

    def build(*given: object) -> object:
        def update(step: int, rate: float) -> object:
            seconds["at"] += 100.0 if next(now) < speed.WARM_UP else 1.0
            return {"loss": np.float32(1.0)}

        return update

    monkeypatch.setattr(speed, "build_update", build)
    monkeypatch.setattr(speed.time, "perf_counter", clock)
    model = build_model(architecture, architecture.config(hidden_size=8), {}, 9)
    settings = TrainConfig(steps=9, batch_size=4, window=5, engine="plain", device="cpu")
    [found] = speed.measure_speeds([model], np.arange(400, dtype=np.uint8) % 9, settings, 4.5)
    assert found.updates == 5
    assert found.tokens_per_second == 20.0
