"""Trains on a token file of any size and reports the memory that it took.

    python growing.py FILE SPARE ENGINE STEPS

From the first step on, anonymous memory is limited to what is in use then and SPARE bytes more. Prints the anonymous
memory in use in the second quarter of the training (`warm`) and in the last (`end`), the minimum of each because the C
library gives memory back late, and the maximum of the whole (`most`), in bytes, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np
import psutil
import torch

from charpipe.events import Evaluated, Step
from charpipe.models import build_model
from charpipe.runs import Recorder, Run, RunInfo
from charpipe.training import TrainConfig, train
from charpipe_lstm import charpipe_architectures


def anonymous() -> int:
    """Bytes in use that belong to no file: pages of a mapped token file are the system's to take back."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) << 10


def main() -> None:
    path, spare, engine, steps = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    torch.set_num_threads(1)
    tokens = np.load(path, mmap_mode="r")
    (architecture,) = charpipe_architectures()
    model = build_model(architecture, architecture.config(hidden_size=32), {}, 65)
    settings = TrainConfig(
        steps=steps,
        batch_size=32,
        window=32,
        engine=engine,
        evaluate_every=50,
        checkpoint_every=50,
        device="cpu",
    )
    info = RunInfo(
        name="run", created="", action="", corpus="", architecture="lstm", architecture_config={},
        vocabulary_size=65, inputs={},
    )  # fmt: skip
    run = Run.create(path.parent / "run", info)
    recorder, found = Recorder(run), []
    for event in train(model, tokens, settings, validation=tokens[:50_000], checkpoints=run.checkpoints):
        recorder(event)
        if isinstance(event, Step) and event.step == 10:
            data = psutil.Process().memory_info().data
            resource.setrlimit(resource.RLIMIT_DATA, (data + spare, data + spare))
        if isinstance(event, Evaluated):
            found.append(anonymous())
    quarter = max(1, len(found) // 4)
    warm, end = min(found[quarter : 2 * quarter]), min(found[-quarter:])
    sys.stdout.write(json.dumps({"tokens": len(tokens), "warm": warm, "end": end, "most": max(found)}))


if __name__ == "__main__":
    main()
