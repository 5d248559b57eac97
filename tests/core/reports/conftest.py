from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charpipe.runs import Run, RunInfo

EVIL = "</pre><script>document.title='owned'</script><img src=x onerror=alert(1)>\x00\u202e&amp;"


@pytest.fixture
def make_run(tmp_path: Path):
    """A run's folder as training leaves it, without training."""

    def make(name: str = "20261123-1041-hello-lstm-7f3a", **changes: Any) -> Run:
        fields: dict[str, Any] = {
            "schema": "charpipe.run/1",
            "name": name,
            "created": "2026-11-23T10:41:00+00:00",
            "action": "a" * 64,
            "corpus": "hello",
            "architecture": "lstm",
            "architecture_config": {"hidden_size": 8, "layers": 1},
            "vocabulary_size": 4,
            "inputs": {"documents": "d" * 64, "tokens": "f" * 64},
            "settings": {"train.batch_size": 4, "train.steps": 20},
            "origins": {"train.steps": "flag"},
            "versions": {"torch": "2.13.0"},
        }
        run = Run.create(tmp_path / "runs" / name, RunInfo(**(fields | changes)))
        lines = [
            {
                "step": step,
                "train/loss": 3 - step / 10,
                "val/bits_per_char": 4 - step / 10,
                "time": 1e9 + step,
            }
            for step in range(1, 21)
        ]
        lines.append({"step": 20, "val/bits_per_char": 9.0, "time": 1e9 + 21})
        run.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        samples = [{"step": step, "prompt": "h", "text": f"text after {step}"} for step in (1, 10, 20)]
        run.samples_file.write_text("".join(json.dumps(line) + "\n" for line in samples))
        run.update(
            state="finished", step=20, steps=20, seconds=20.0, parameters=1234,
            metrics={"val/bits_per_char": 2.1, "val/xz_bits_per_char": 2.9, "test/bits_per_char": 2.2},
        )  # fmt: skip
        return run

    return make


@pytest.fixture
def evil() -> str:
    return EVIL
