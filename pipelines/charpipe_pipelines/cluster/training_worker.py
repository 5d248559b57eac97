"""What each worker of Ray Train does: rank 0 runs the stage `train` on its node, the others join its training."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from charpipe.config import load_config
from charpipe.config.plugin_folders import open_plugins
from charpipe.errors import CharpipeError, InterruptedRun, one_line
from charpipe.events import Event, Listener, Notice, Step, TrainingStarted
from charpipe.runs import Run
from charpipe.stages import Context, TrainRequest, WarmStart, train
from charpipe.stages.remote import inputs, open_described, placed
from charpipe.stages.stop import Stop
from charpipe.stages.workers import join_trainings
from charpipe.training.errors import LostWorkerError
from charpipe.training.group import ALONE, Group, most_workers
from charpipe.training.process_group import ProcessGroup
from charpipe_pipelines.cluster.node import Post

NAME = "train"
"""Of the training in the mailbox."""
INTERVAL = 0.2
"""Seconds between two steps that the command hears of, at least."""


def work(config: Mapping[str, Any]) -> None:
    """The function that Ray Train calls on each worker."""
    from ray.train import get_context

    here = get_context()
    request, mailbox = placed(config["request"]), config["mailbox"]
    os.chdir(request["folder"])
    torch.set_num_threads(request["threads"])
    size: int = here.get_world_size()
    members = most_workers(size, request["settings"]["train"]["shards"])
    if here.get_world_rank() >= members:
        return  # the shards cannot be divided among so many
    if members == 1:
        _lead(ALONE, request, mailbox, size)
        return
    group = ProcessGroup(here.get_local_rank(), members)
    if group.rank == 0:
        _lead(group, request, mailbox, size)
        return
    resolved = load_config(settings=request["settings"])
    join_trainings(group, open_plugins(resolved), Stop())


def _lead(group: Group, request: dict[str, Any], mailbox: Any, size: int) -> None:
    """Run the stage, and send the mailbox its events and its outcome.

    Raises LostWorkerError, at which Ray Train starts all workers again."""
    import ray

    attempt = ray.get(mailbox.begin.remote(NAME, socket.gethostname()))
    if attempt > 1:  # go on from the last checkpoint, even if the command forced a new run
        request["force"] = []
    with Post(mailbox, NAME) as post:
        post(Notice(_told(group.size, size)))
        try:
            outcome = _outcome(group, request, post)
        finally:
            group.end()
    ray.get(mailbox.end.remote(NAME, outcome))


class _Reports:
    """A listener that sends on a run's events, with its host; steps are thinned."""

    def __init__(self, listener: Listener) -> None:
        self.context: Context | None = None
        self._listener, self._last = listener, 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Step):
            if time.monotonic() - self._last < INTERVAL:
                return
            self._last = time.monotonic()
        if isinstance(event, TrainingStarted):
            event = replace(event, host=socket.gethostname())
            if self.context is not None and self.context.flow_run:
                flow_run = dict(self.context.flow_run)
                Run(self.context.workspace.runs / event.run).update(prefect=flow_run)
        self._listener(event)


def _told(workers: int, size: int) -> str:
    found = f"train: {workers} worker{'' if workers == 1 else 's'} on the Ray cluster"
    return found if workers == size else f"{found}, {size - workers} more idle: the shards cannot be divided"


def _outcome(group: Group, request: Mapping[str, Any], post: Post) -> dict[str, Any]:
    asked = dict(request["request"])
    if asked["warm_start"] is not None:
        asked["warm_start"] = WarmStart(**asked["warm_start"])
    try:
        listener = _Reports(post)
        context = open_described(request, listener, post.stop)
        context = listener.context = replace(context, group=group)
        return {"result": asdict(train.carry_out(context, TrainRequest(**asked), *inputs(request)))}
    except InterruptedRun as error:
        return {"stopped": str(error)}
    except LostWorkerError:
        raise
    except CharpipeError as error:
        return {"reason": one_line(error)}
