"""What rank 0 does for the other workers of its group: it starts them, and gathers what a checkpoint needs of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from charpipe.errors import TrainingError
from charpipe.training.errors import LostWorkerError
from charpipe.training.group import Command
from charpipe.training.orders import OrderFormat
from charpipe.training.setup import Setup
from charpipe.training.state import State
from charpipe.training.worker_state import merge_states, own_state, whole_state


@contextmanager
def leading(setup: Setup, state: State) -> Iterator[None]:
    """Start the other workers, if there are any, and end their training afterwards. Raises LostWorkerError."""
    group = setup.group
    if group.size == 1:
        yield
        return
    group.broadcast(_job(setup, state))
    group.broadcast(whole_state(state))
    group.start(OrderFormat(setup.batches.window, setup.batches.batch_size), setup.device)
    try:
        yield
    finally:
        if group.in_step:
            with suppress(LostWorkerError):
                group.give(Command.END)


def _job(setup: Setup, state: State) -> bytes:
    """What the other workers must know of a training, as JSON."""
    model, batches = setup.model, setup.batches
    job = {
        "architecture": model.architecture,
        "config": model.config.model_dump(mode="json"),
        "vocabulary": dict(model.vocabulary),
        "vocabulary_size": model.vocabulary_size,
        "plugin": dict(model.plugin),
        "settings": setup.settings.model_dump(mode="json"),
        "batch_size": batches.batch_size,
        "window": batches.window,
        "device": setup.device.type,
        "precision": setup.precision,
        "engine": setup.engine,
        "scaler": state.scaler.state_dict(),
    }
    return json.dumps(job).encode()


def gather_state(setup: Setup, state: State) -> None:
    """Complete rank 0's recurrent state by that of the other workers' streams.

    Raises LostWorkerError, and TrainingError where another worker has other weights."""
    group = setup.group
    if group.size == 1:
        return
    group.give(Command.GATHER)
    found = group.gather(own_state(setup, state))
    state.recurrent, different = merge_states(found, setup.device)
    if different:
        raise TrainingError(
            f"worker {different[0]} has other weights than worker 0 after step {state.step:,}: their processors round "
            "differently; earlier checkpoints are intact; start workers on machines of one kind, and type: "
            "charpipe resume"
        )
