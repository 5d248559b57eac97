"""A real run folder, as training leaves it, without training."""

from __future__ import annotations

from pathlib import Path

from charpipe.events import Checkpointed, Evaluated, Event, Finished, Reported, Sampled, Step, TrainingStarted
from charpipe.runs import Run, RunInfo

NAME = "20261123-1041-hello-lstm-7f3a"


def make_run(folder: Path, name: str = NAME, corpus: str = "hello") -> Run:
    info = RunInfo(
        schema="charpipe.run/1",
        name=name,
        created="2026-11-23T10:41:00+00:00",
        action="a" * 64,
        corpus=corpus,
        architecture="lstm",
        architecture_config={"hidden_size": 8, "layers": 1},
        vocabulary_size=4,
        inputs={"documents": "d" * 64, "vocabulary": "e" * 64, "tokens": "f" * 64},
        plugins={"lstm": {"module": "charpipe_lstm", "version": "0.1.0", "digest": "9" * 64}},
        settings={"train.batch_size": 4, "train.steps": 20, "tracking.uri": None},
        facts={"tokens": {"train": 100, "val": 5, "test": 0}},
    )
    return Run.create(folder / name, info)


def write_checkpoint(run: Run, step: int) -> Path:
    folder = run.checkpoints / f"step-{step:08d}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(bytes(8) + str(step).encode())
    (folder / "config.json").write_text('{"schema": "charpipe.model/1"}')
    (folder / "vocabulary.json").write_text('{"schema": "charpipe.vocabulary/1"}')
    (folder / "optimizer.safetensors").write_bytes(b"large")
    (folder / "state.json").write_text("{}")
    return folder


def history(run: Run, last: int = 20) -> list[Event]:
    """What training emits: a step a time, a look at validation and a checkpoint each ten."""
    events: list[Event] = [TrainingStarted(run.name, 0, last, "cpu", "float32", 1234, "lstm 1x8")]
    for step in range(1, last + 1):
        events.append(Step(step, last, 2.0 / step, 1e-3, 16 * step, 0.1 * step))
        if step % 10 == 0:
            events.append(Reported(step, {"train/loss": 2.0 / step, "train/learning_rate": 1e-3}))
            events.append(Evaluated(step, {"val/loss": 1.0 + step / 100, "val/bits_per_char": 2.0}))
            events.append(Sampled(step, f"hello {step}", "h"))
            events.append(Checkpointed(step, str(write_checkpoint(run, step)), best=step == 10))
    events.append(Finished(last, "steps", 2.0, {"val/loss": 1.2}))
    return events
