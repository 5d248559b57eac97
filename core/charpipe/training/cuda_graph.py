"""A whole update captured once as a CUDA graph and replayed: forward, loss, gradient, clipping, optimizer step.

On a GPU, small networks are bound by kernel launches; a replay is one launch. A graph reads and writes fixed memory, so
all that changes from step to step is in tensors of its own: the position of the streams, the learning rate, the
recurrent state. No step waits for the device.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from charpipe.training.device_tokens import tokens_on_device
from charpipe.training.setup import Setup
from charpipe.training.state import State

WARM_UP = 3
"""Updates before the capture, in which libraries choose their kernels and allocate memory; they are undone."""


class CapturedUpdate:
    """The update of the engine cuda-graphs. Without CUDA the same work is done eagerly each time, for tests."""

    def __init__(
        self,
        setup: Setup,
        state: State,
        optimize: Callable[[Setup, State, Tensor, Tensor, bool], dict[str, Tensor]],
    ) -> None:
        """`optimize(setup, state, inputs, targets, measure)` is the work to capture; it returns what it measured."""
        self._setup, self._state, self._optimize = setup, state, optimize
        self._recurrent = state.recurrent = {name: t.clone() for name, t in state.recurrent.items()}
        self._initial = state.network.initial_state(setup.batches.batch_size)  # type: ignore[operator]
        self._tokens = tokens_on_device(setup.batches, setup.device)
        self._measured: dict[str, Tensor] = {}
        self._rate = torch.zeros((), device=setup.device)
        for group in state.optimizer.param_groups:
            group["lr"], group["capturable"] = self._rate, setup.device.type == "cuda"
        for values in state.optimizer.state.values():  # restored from a checkpoint
            if "step" in values:
                values["step"] = values["step"].to(setup.device)
        self._replay = self._capture()

    def __call__(self, step: int, rate: float, measure: bool = False) -> Mapping[str, Tensor]:
        """One update. What it measured is copied, so that a later replay does not overwrite it."""
        self._tokens.move_to(step)
        self._rate.fill_(rate)
        if self._setup.batches.starts_epoch(step):
            self._set_recurrent(self._initial)
        self._replay()
        return {name: value.clone() for name, value in self._measured.items()}

    def _work(self) -> None:
        ids = self._tokens.read()
        measured = self._optimize(self._setup, self._state, ids[:-1], ids[1:], True)
        for name, value in measured.items():
            self._measured.setdefault(name, torch.zeros_like(value)).copy_(value)
        after, self._state.recurrent = self._state.recurrent, self._recurrent
        self._set_recurrent(after)

    def _set_recurrent(self, state: dict[str, Tensor]) -> None:
        for name, values in self._recurrent.items():
            values.copy_(state[name])

    def _capture(self) -> Callable[[], None]:
        if self._setup.device.type != "cuda":
            with undone(self._state):
                self._work()
            return self._work
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with undone(self._state), torch.cuda.stream(stream), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns of optimizer steps outside of a capture
            for _ in range(WARM_UP):
                self._work()
            torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._work()
        return graph.replay


@contextmanager
def undone(state: State) -> Iterator[None]:
    """Undo the updates made within: afterwards all tensors have the values that they had, in the same memory. Optimizer
    state that is created within becomes zero, its initial value."""
    scale = state.scaler.state_dict()
    tensors = [*state.network.parameters(), *state.recurrent.values(), state.loss_sum]
    known = {id(value): value for values in state.optimizer.state.values() for value in values.values()}
    before = [(tensor, tensor.detach().clone()) for tensor in [*tensors, *_tensors(known.values())]]
    yield
    with torch.no_grad():
        for tensor, values in before:
            tensor.copy_(values)
        for values in state.optimizer.state.values():
            for value in _tensors(values.values()):
                if id(value) not in known:
                    value.zero_()
    if scale:
        state.scaler.load_state_dict(scale)


def _tensors(values: object) -> list[Tensor]:
    return [value for value in values if isinstance(value, Tensor)]  # type: ignore[attr-defined]
