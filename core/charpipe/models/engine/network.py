"""A language model's loss and gradients by the engine's kernels: the plain network's numbers, sooner."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from charpipe.models.contract import State
from charpipe.models.engine.characters import Characters
from charpipe.models.engine.kernels.code import BFLOAT16, FLOAT32
from charpipe.models.engine.lanes import Piece, divide, do_all, in_parallel, threads_for
from charpipe.models.engine.layers import RecurrentLayer, Share
from charpipe.models.engine.softmax import Softmax
from charpipe.models.processor import this_processor
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel, parameter_count


class Descent:
    """ids and targets int64 [T, B], the state before them, and a factor for the gradients -> the loss, nats per token,
    and the state after. Each parameter's gradient is left beside it, good until the next call."""

    def __init__(self, network: LanguageModel, dtype: torch.dtype, threads: int = 1) -> None:
        here = this_processor()
        assert here is not None
        kind = BFLOAT16 if dtype == torch.bfloat16 else FLOAT32
        recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
        self.network, self.recurrence, self.processor = network, recurrence, here
        last = recurrence.layer.num_layers - 1
        self.layers = [
            RecurrentLayer(
                here,
                kind,
                recurrence,
                place,
                (network.dropout, network.locked)
                if place == last
                else (recurrence.layer.dropout, recurrence.locked),
            )
            for place in range(last + 1)
        ]
        self.characters = Characters(network, self.layers[0].parameter("weight_ih"))
        self.softmax = Softmax(here, kind, network.head)
        self.size = parameter_count(network)
        self.threads = threads
        self._made_for: tuple[int, int] | None = None

    def __call__(
        self, ids: Tensor, targets: Tensor, state: State, scale: float = 1.0
    ) -> tuple[Tensor, State]:
        steps, lanes = ids.shape
        ids, targets = ids.contiguous(), targets.contiguous()
        self._make_room(steps, lanes)
        with torch.no_grad():
            rows, source = self.characters.look_up(ids)
            self._do(list(self._begin(state, source, scale)))
            in_parallel([partial(self._pass, each, rows, targets) for each in enumerate(self.shares)])
            self._sum(rows)
            self._hand_over()
            return self.softmax.loss(), self._state()

    def _make_room(self, steps: int, lanes: int) -> None:
        if self._made_for == (steps, lanes):
            return
        self._made_for = steps, lanes
        threads = threads_for(lanes, 3.0 * steps * lanes * self.size, self.threads)
        self.shares = [Share.of(self.processor, steps, lanes, stretch) for stretch in divide(lanes, threads)]
        for layer in self.layers:
            layer.make_room(steps, lanes)
        self.softmax.make_room(steps, lanes, len(self.shares))
        matrices = [self.softmax.matrix, *(layer.hidden for layer in self.layers)]
        self.rooms = [torch.zeros(max(matrix.room for matrix in matrices)) for _ in self.shares]

    def _begin(self, state: State, source: Tensor, scale: float) -> Iterator[Piece]:
        seeds: list[int] = torch.randint(2**32, (2 * len(self.layers),)).tolist()
        for place, layer in enumerate(self.layers):
            mine = seeds[2 * place], seeds[2 * place + 1]
            yield from layer.begin(state, source if place == 0 else None, mine)
        yield from self.softmax.begin(scale)

    def _pass(self, mine: tuple[int, Share], rows: Tensor, targets: Tensor) -> None:
        """A thread's lanes through all layers and back."""
        part, share = mine
        below = None
        for layer in self.layers:
            layer.forward(share, rows if below is None else None, below)
            below = layer.onward
        last = self.layers[-1]
        self.softmax.there_and_back(share, part, last.onward, targets, last.above)
        for place in range(len(self.layers) - 1, -1, -1):
            self.layers[place].backward(share, self.layers[place - 1].above if place else None)

    def _sum(self, rows: Tensor) -> None:
        """The gradients of all weights, each thread some rows of each matrix."""
        jobs = list(self.softmax.summing(self.layers[-1].onward, self.rooms))
        for place, layer in enumerate(self.layers):
            below = self.layers[place - 1].onward if place else None
            jobs += layer.summing(self.rooms, rows if place == 0 else None, below)
        parts: list[list[Piece]] = [[] for _ in self.rooms]
        for job in jobs:
            for part, piece in zip(parts, job, strict=False):
                part.append(piece)
        in_parallel([partial(do_all, part) for part in parts])

    def _do(self, pieces: list[Piece]) -> None:
        """All pieces, divided among the threads."""
        threads = len(self.shares)
        in_parallel([partial(do_all, pieces[thread::threads]) for thread in range(threads)])

    def _hand_over(self) -> None:
        """Leave each parameter its gradient; one that is used twice has two."""
        for each in self.network.parameters():
            each.grad = None
        for parameter, gradient in self._gradients():
            if parameter.requires_grad:
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def _gradients(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from self.softmax.gradients()
        for layer in self.layers:
            yield from layer.gradients()
        yield from self.characters.gradients(self.layers[0].of_look_up())

    def _state(self) -> State:
        found = [layer.state() for layer in self.layers]
        return {
            name: torch.stack(each)
            for name, each in zip(self.recurrence.names, zip(*found, strict=True), strict=True)
        }
