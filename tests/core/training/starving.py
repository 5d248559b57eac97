"""Trains where memory ends: the limit is set once a small training has shown that all works.

python starving.py FOLDER SPARE ENGINE
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import torch

from charpipe.errors import TrainingError
from charpipe.events import Checkpointed
from charpipe.models import build_model
from charpipe.training import TrainConfig, last_checkpoint, train
from charpipe_lstm import charpipe_architectures


def main() -> int:
    folder, spare = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    (architecture,) = charpipe_architectures()
    model = build_model(architecture, architecture.config(hidden_size=32), {}, 5)
    tokens = np.zeros(400_000, np.uint8)
    fixed = {"device": "cpu", "engine": sys.argv[3], "precision": "float32", "checkpoint_every": 2}
    small = TrainConfig(steps=4, batch_size=4, window=8, **fixed)
    saved = [
        event.step
        for event in train(model, tokens, small, checkpoints=folder)
        if isinstance(event, Checkpointed)
    ]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, used + spare))
    large = TrainConfig(steps=4, batch_size=1024, window=64, **fixed)
    try:
        list(train(model, tokens, large, checkpoints=folder))
    except TrainingError as error:
        sys.stdout.write(f"{saved} {last_checkpoint(folder).name} {error}")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
