"""A language model by the engine's kernels: the plain network's numbers, sooner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

LARGEST_WINDOW = 1 << 15
"""Steps times lanes that are scored at a time: more would take memory and gain nothing."""


class Network:
    """The layers of a network and its softmax, and the shares of a window's lanes that threads take."""

    def __init__(self, network: LanguageModel, dtype: torch.dtype, *, learns: bool) -> None:
        here = this_processor()
        assert here is not None
        kind = BFLOAT16 if dtype == torch.bfloat16 else FLOAT32
        recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
        self.network, self.recurrence, self.processor = network, recurrence, here
        count = recurrence.layer.num_layers
        drops = [(recurrence.layer.dropout, recurrence.locked)] * (count - 1)
        drops.append((network.dropout, network.locked))
        self.layers = [
            RecurrentLayer(here, kind, recurrence, place, drop if learns else (0.0, False), learns=learns)
            for place, drop in enumerate(drops)
        ]
        self.characters = Characters(network, self.layers[0].parameter("weight_ih"))
        self.softmax = Softmax(here, kind, network.head, learns=learns)
        self.size = parameter_count(network)
        self._made_for: tuple[int, ...] | None = None

    def make_room(self, steps: int, lanes: int, threads: int) -> None:
        """Memory for a window, and lanes for each thread; what is there already is used again."""
        if self._made_for == (steps, lanes, threads):
            return
        self._made_for = None  # until there is room for all of it
        some = threads_for(lanes, 3.0 * steps * lanes * self.size, threads)
        self.shares = [Share.of(self.processor, steps, lanes, stretch) for stretch in divide(lanes, some)]
        for layer in self.layers:
            layer.make_room(steps, lanes)
        self.softmax.make_room(steps, lanes, len(self.shares))
        self._made_for = steps, lanes, threads

    def begin(self, ids: Tensor, state: State) -> Tensor:
        """Take what is read, int64 [T, B], and the state before it; the row of each character."""
        rows, source = self.characters.look_up(ids)
        for layer in self.layers:
            layer.begin(state, None if layer.place else source)
        return rows

    def packing(self, seeds: Sequence[Sequence[int]]) -> Iterator[Piece]:
        """What lays out all weights as they are now."""
        for layer, mine in zip(self.layers, seeds, strict=True):
            yield from layer.packing(mine)
        yield from self.softmax.packing()

    def do(self, pieces: Iterator[Piece]) -> None:
        """All pieces, divided among the threads."""
        every, threads = list(pieces), len(self.shares)
        in_parallel([partial(do_all, every[thread::threads]) for thread in range(threads)])

    def forward(self, mine: tuple[int, Share], rows: Tensor, targets: Tensor) -> None:
        """A thread's lanes through all layers to their losses."""
        part, share = mine
        below = None
        for layer in self.layers:
            layer.forward(share, None if layer.place else rows, below)
            below = layer.onward
        self.softmax.forward(share, part, self.layers[-1].onward, targets)

    def state(self) -> State:
        """The state after the window."""
        found = zip(*(layer.state() for layer in self.layers), strict=True)
        return {name: torch.stack(each) for name, each in zip(self.recurrence.names, found, strict=True)}


class Descent:
    """ids and targets int64 [T, B], the state before them, and a factor for the gradients -> the loss, nats per token,
    and the state after. Each parameter's gradient is left beside it, good until the next call."""

    def __init__(self, network: LanguageModel, dtype: torch.dtype, threads: int = 1) -> None:
        self._net, self._threads = Network(network, dtype, learns=True), threads
        self._parameters = list(network.parameters())

    @torch.no_grad()
    def __call__(
        self, ids: Tensor, targets: Tensor, state: State, factor: float = 1.0
    ) -> tuple[Tensor, State]:
        net, targets = self._net, targets.contiguous()
        net.make_room(len(ids), ids.shape[1], self._threads)
        rows = net.begin(ids, state)
        net.do(net.packing(torch.randint(2**32, (len(net.layers), 2)).tolist()))
        net.softmax.scale.fill_(factor / ids.numel())
        in_parallel([partial(self._there_and_back, each, rows, targets) for each in enumerate(net.shares)])
        self._sum(rows)
        self._hand_over()
        return net.softmax.nats().mean(), net.state()

    def _there_and_back(self, mine: tuple[int, Share], rows: Tensor, targets: Tensor) -> None:
        """A thread's lanes through all layers and back."""
        net, share = self._net, mine[1]
        net.forward(mine, rows, targets)
        net.softmax.backward(share, net.layers[-1].above)
        for layer in reversed(net.layers):
            layer.backward(share, net.layers[layer.place - 1].above if layer.place else None)

    def _sum(self, rows: Tensor) -> None:
        """The gradients of all weights, each thread some rows of each matrix."""
        layers, softmax = self._net.layers, self._net.softmax
        size = max(matrix.room for matrix in (softmax.matrix, *(layer.hidden for layer in layers)))
        rooms = [torch.empty(size) for _ in self._net.shares]
        jobs = list(softmax.summing(layers[-1].onward, rooms))
        for layer in layers:
            below = layers[layer.place - 1].onward if layer.place else None
            jobs += layer.summing(rooms, None if layer.place else rows, below)
        parts: list[list[Piece]] = [[] for _ in rooms]
        for job in jobs:
            for part, piece in zip(parts, job, strict=False):
                part.append(piece)
        in_parallel([partial(do_all, part) for part in parts])

    def _hand_over(self) -> None:
        """Leave each parameter its gradient; one that is used twice has two."""
        for each in self._parameters:
            each.grad = None
        for parameter, gradient in self._gradients():
            if parameter.requires_grad:
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def _gradients(self) -> Iterator[tuple[Tensor, Tensor]]:
        net = self._net
        yield from net.softmax.gradients()
        for layer in net.layers:
            yield from layer.gradients()
        yield from net.characters.gradients(net.layers[0].of_look_up())


class Scoring:
    """ids int64 [T + 1, B], state -> nats float32 [T, B] of ids[1:], and the state that has read ids[:-1]."""

    def __init__(self, network: LanguageModel, dtype: torch.dtype) -> None:
        self._net = Network(network, dtype, learns=False)

    @torch.no_grad()
    def __call__(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        net, found, steps = self._net, [], max(1, LARGEST_WINDOW // ids.shape[1])
        net.make_room(min(steps, len(ids) - 1), ids.shape[1], torch.get_num_threads())
        net.do(net.packing(((0, 0),) * len(net.layers)))  # always: an optimiser may change weights unnoticed
        for first in range(0, len(ids) - 1, steps):
            nats, state = self._window(ids[first : first + steps + 1], state)
            found.append(nats)
        return torch.cat(found), state

    def _window(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        net, targets = self._net, ids[1:].contiguous()
        net.make_room(len(targets), targets.shape[1], torch.get_num_threads())
        rows = net.begin(ids[:-1], state)
        in_parallel([partial(net.forward, each, rows, targets) for each in enumerate(net.shares)])
        return net.softmax.nats(), net.state()
