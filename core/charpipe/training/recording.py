"""A whole update recorded once and replayed: forward, loss, gradient, its bound and the step as one CUDA graph.

Small networks are bound by launches on a GPU; a replay is a single one. All that changes from step to step lies in
tensors of the graph's own: where the lanes stand, the learning rate, the carried state. Nothing waits for the device.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from charpipe.errors import UsageError
from charpipe.events import Notice
from charpipe.training.resident import tokens_on

if TYPE_CHECKING:
    from charpipe.training.job import Job

RECORDABLE = ("adam", "adamw", "rmsprop")
"""Optimisers that keep all they need on the device."""
WARM_UP = 3
"""Updates before the recording, in which libraries choose their kernels and take their memory; they are undone."""


class Recorded:
    """The update of a job whose engine is cuda-graphs. Without CUDA the same work is done each time, for tests."""

    def __init__(self, job: Job, learn: Callable[[Job, Tensor, Tensor], Tensor]) -> None:
        """`learn(job, inputs, targets)` is the update to record; it returns the loss."""
        self._job, self._learn = job, learn
        self._state = job.state = {name: values.clone() for name, values in job.state.items()}
        self._initial = job.model.network.initial_state(job.lanes.batch_size)  # type: ignore[operator]
        self._tokens = tokens_on(job.lanes, job.device)
        self._loss, self._rate = torch.zeros((), device=job.device), torch.zeros((), device=job.device)
        for group in job.optimizer.param_groups:
            group["lr"], group["capturable"] = self._rate, job.device.type == "cuda"
        for kept in job.optimizer.state.values():  # of a checkpoint
            if "step" in kept:
                kept["step"] = kept["step"].to(job.device)
        self._replay = self._recorded()

    def update(self, step: int, rate: float) -> Tensor:
        """One update; the loss before it, on the device, where a later step does not change it."""
        self._tokens.move_to(step)
        self._rate.fill_(rate)
        if self._job.lanes.begins(step):
            self._carry(self._initial)
        self._replay()
        return self._loss.clone()

    def _work(self) -> None:
        ids = self._tokens.read()
        self._loss.copy_(self._learn(self._job, ids[:-1], ids[1:]))
        after, self._job.state = self._job.state, self._state
        self._carry(after)

    def _carry(self, state: dict[str, Tensor]) -> None:
        for name, values in self._state.items():
            values.copy_(state[name])

    def _recorded(self) -> Callable[[], None]:
        if self._job.device.type != "cuda":
            with undone(self._job):
                self._work()
            return self._work
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with undone(self._job), torch.cuda.stream(aside), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch remarks on steps outside of a recording
            for _ in range(WARM_UP):
                self._work()
            torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._work()
        return graph.replay


def check_recordable(job: Job) -> Notice:
    """What a user must know of this engine. Raises UsageError where a setting keeps the update from being recorded."""
    settings = job.settings
    problem = None
    if settings.optimizer not in RECORDABLE:
        problem = f"it records {', '.join(RECORDABLE)}, not {settings.optimizer}"
    elif settings.schedule == "one-cycle":
        problem = "one-cycle changes the momentum from step to step"
    elif job.precision == "float16" and settings.optimizer == "rmsprop":
        problem = "in float16 rmsprop waits for the device at every step; use bfloat16"
    if problem is not None:
        raise UsageError(
            f"the engine cuda-graphs cannot train this: {problem}; leave --engine out, or change that"
        )
    return Notice(
        "the engine cuda-graphs is unverified: no measurement of it on a GPU is kept in benchmarks/results; "
        "hold its losses against those of --engine plain",
        "warning",
    )


@contextmanager
def undone(job: Job) -> Iterator[None]:
    """Whatever updates are made within, afterwards the job's numbers are what they were, in the same memory. What an
    optimiser remembers only since then becomes zero, which is what it would begin with."""
    scale = job.scaler.state_dict()
    tensors = [*job.model.network.parameters(), *job.state.values(), job.recent]
    known = {id(value): value for values in job.optimizer.state.values() for value in values.values()}
    before = [(tensor, tensor.detach().clone()) for tensor in [*tensors, *_tensors(known.values())]]
    yield
    with torch.no_grad():
        for tensor, values in before:
            tensor.copy_(values)
        for values in job.optimizer.state.values():
            for value in _tensors(values.values()):
                if id(value) not in known:
                    value.zero_()
    if scale:
        job.scaler.load_state_dict(scale)


def _tensors(values: object) -> list[Tensor]:
    return [value for value in values if isinstance(value, Tensor)]  # type: ignore[attr-defined]
