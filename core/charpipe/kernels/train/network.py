"""A language model by compiled kernels: its layers and head, and the shards of a batch that threads take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from charpipe.kernels.jit.processor import this_processor
from charpipe.kernels.jit.values import BFLOAT16, FLOAT32
from charpipe.kernels.modules import NetworkModules
from charpipe.kernels.train.batch_shard import BatchShard
from charpipe.kernels.train.input_table import InputTable
from charpipe.kernels.train.layer import RecurrentLayer
from charpipe.kernels.train.softmax_head import SoftmaxHead
from charpipe.kernels.train.threads import Thunk, partition, run_all, run_parallel, thread_count


def resets_of(ids: Tensor, end_token: int | None) -> Tensor | None:
    """Where streams of ids [T, B] start from the zero state, before they read an end token: int64 [T + 1, B] with
    zeros at its end, or None where there is no such token."""
    return None if end_token is None else functional.pad((ids == end_token).long(), (0, 0, 0, 1))


class CompiledNetwork:
    """The layers of a network and its head, with memory for one window at a time.

    A window: `allocate`, `begin`, `pack`, then `forward` of every shard. `dtype` is that of the products. With
    `training` the states after each step are kept, and with `dropout`, by default as `training`, it is applied.
    """

    def __init__(
        self, modules: NetworkModules, dtype: torch.dtype, *, training: bool, dropout: bool | None = None
    ) -> None:
        here = this_processor()
        assert here is not None
        kernel_dtype = BFLOAT16 if dtype == torch.bfloat16 else FLOAT32
        self.modules, self.processor, self.dtype = modules, here, kernel_dtype
        dropped = [(modules.layer.dropout, modules.locked_layers)] * (modules.layers - 1)
        dropped.append((modules.dropout, modules.locked_head))
        drops = training if dropout is None else dropout
        recurrent_dropout = modules.recurrent_dropout if drops else 0.0
        self.layers = [
            RecurrentLayer(
                here,
                kernel_dtype,
                modules,
                number,
                each if drops else (0.0, False),
                recurrent_dropout=recurrent_dropout,
                training=training,
            )
            for number, each in enumerate(dropped)
        ]
        self.input_table = InputTable(modules)
        self.head = SoftmaxHead(here, kernel_dtype, modules.head, training=training)
        self._allocated_for: tuple[int, ...] | None = None

    def allocate(self, steps: int, batch_size: int, threads: int) -> None:
        """Memory for a window, and the shard of each thread. For the same sizes the same memory is used again."""
        if self._allocated_for == (steps, batch_size, threads):
            return
        self._allocated_for = None  # until all of it is allocated
        count = thread_count(batch_size, 3.0 * steps * batch_size * self.modules.parameter_count, threads)
        ranges = partition(batch_size, count)
        self.shards = [BatchShard.of(self.processor, self.dtype, steps, batch_size, each) for each in ranges]
        for layer in self.layers:
            layer.allocate(steps, batch_size)
        self.head.allocate(steps, batch_size, len(self.shards))
        self._allocated_for = steps, batch_size, threads

    def begin(
        self, ids: Tensor, state: Mapping[str, Tensor], streams: tuple[int, int] | None = None
    ) -> Tensor:
        """Set the inputs, int64 [T, B], and the state before them. Returns the inputs' rows of the input table.

        Where they are part of a batch, `streams` are the number of the first stream in it, and the streams in it."""
        rows, table = self.input_table.look_up(ids)
        resets = resets_of(ids, self.modules.end_token)
        for layer in self.layers:
            layer.resets = resets
            layer.streams = streams or (0, ids.shape[1])
            layer.begin(state, None if layer.number else table)
        return rows

    def pack(self, seeds: Sequence[Sequence[int]]) -> None:
        """Pack all weights as they are now, with all threads; `seeds` are two for each layer's dropout."""
        self._run(self._packing(seeds))

    def _packing(self, seeds: Sequence[Sequence[int]]) -> Iterator[Thunk]:
        for layer, mine in zip(self.layers, seeds, strict=True):
            yield from layer.packing(mine)
        yield from self.head.packing()

    def _run(self, thunks: Iterator[Thunk]) -> None:
        every, threads = list(thunks), len(self.shards)
        run_parallel([partial(run_all, every[thread::threads]) for thread in range(threads)])

    def forward(self, number: int, rows: Tensor, targets: Tensor) -> None:
        """Take one shard through all layers to its losses."""
        self.forward_layers(number, rows)
        self.head.forward(self.shards[number], number, self.layers[-1].outputs, targets)

    def forward_layers(self, number: int, rows: Tensor) -> None:
        """Take one shard through all layers."""
        shard, below = self.shards[number], None
        for layer in self.layers:
            layer.forward(shard, None if layer.number else rows, below)
            below = layer.outputs

    def state(self) -> dict[str, Tensor]:
        """The state after the window, [layers, B, H] each."""
        return self._by_name(layer.state() for layer in self.layers)

    def states(self) -> dict[str, Tensor]:
        """The states after each step of the window, [layers, T, B, H] each; only with `training`."""
        return self._by_name(layer.states() for layer in self.layers)

    def _by_name(self, layers: Iterable[list[Tensor]]) -> dict[str, Tensor]:
        names, found = self.modules.state_names, zip(*layers, strict=True)
        return {name: torch.stack(each) for name, each in zip(names, found, strict=True)}
