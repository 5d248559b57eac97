"""A worker that follows rank 0: it computes the gradients of its shards, and makes the same updates of the weights.

It reads no corpus and no checkpoint, and it writes nothing: the tokens come with each order, the state at the start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from charpipe.config.settings.training import TrainConfig
from charpipe.models import Model
from charpipe.models.engine import choose_engine
from charpipe.training.batches import Batches
from charpipe.training.determinism import determinism
from charpipe.training.engines import build_scaler
from charpipe.training.errors import out_of_memory_as_training_error
from charpipe.training.group import Command
from charpipe.training.orders import OrderFormat
from charpipe.training.process_group import ProcessGroup
from charpipe.training.setup import Setup
from charpipe.training.sharded_update import ShardedUpdate
from charpipe.training.state import State, copy_to_measure, new_state
from charpipe.training.threads import threads_for_updates
from charpipe.training.worker_state import load_state, own_state

Job = Mapping[str, Any]
"""What rank 0 says of a training: see `leader.py`."""


def follow(
    group: ProcessGroup, build: Callable[[Job], Model], stop: Callable[[], bool] = lambda: False
) -> None:
    """Follow rank 0 through all its trainings, until it ends. `build` makes the model of a job, with any weights; when
    `stop()` becomes true, rank 0 is asked to stop.

    Raises LostWorkerError where rank 0 or another worker is lost, and what training raises.
    """
    while data := group.broadcast():
        job = json.loads(data)
        settings = TrainConfig(**job["settings"])
        with out_of_memory_as_training_error(settings), determinism(settings):
            setup, state = _initialize(group, job, settings, build(job), group.broadcast())
            with threads_for_updates(setup):
                _follow_orders(group, setup, state, stop)


def _initialize(
    group: ProcessGroup, job: Job, settings: TrainConfig, model: Model, data: bytes
) -> tuple[Setup, State]:
    device, precision = group.place(torch.device(job["device"])), job["precision"]
    settings = settings.model_copy(update={"average": 0.0})  # rank 0 alone averages the weights
    nothing = np.zeros(0, np.uint8)
    batches = Batches(nothing, job["batch_size"], job["window"], settings.seed)
    scaler, threads = build_scaler(device, precision), torch.get_num_threads()
    if job["scaler"]:
        scaler.load_state_dict(job["scaler"])
    engine, loss_and_grad = choose_engine(
        model.network.to(device).train(),
        device,
        precision,
        job["engine"],
        batch_size=batches.batch_size,
        threads=threads,
        scaler=scaler,
    )
    setup = Setup(
        model, settings, batches, device, precision, engine, loss_and_grad, None, threads, group=group
    )
    state = new_state(setup, scaler)
    load_state(data, state, device)
    group.start(OrderFormat(batches.window, batches.batch_size), device)
    return setup, state


def _follow_orders(group: ProcessGroup, setup: Setup, state: State, stop: Callable[[], bool]) -> None:
    trained = update = ShardedUpdate(setup, state)
    while True:
        command, order = group.take(stop())
        match command:
            case Command.UPDATE:
                update(order)
            case Command.MEASURE:
                update = ShardedUpdate(*copy_to_measure(setup, state))
            case Command.TRAIN:
                update = trained
            case Command.GATHER:
                group.gather(own_state(setup, state))
            case Command.END:
                return
