"""The matrices that a training multiplies by: laid out anew before each update, and their gradients after it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from charpipe.models.engine.kernels.code import FLOAT32, WORD, Kind
from charpipe.models.engine.kernels.dropping import Drop
from charpipe.models.engine.kernels.gradients import PANEL, WeightGradient
from charpipe.models.engine.kernels.machine_code import assembled
from charpipe.models.engine.kernels.packing import PackColumns, PackRows
from charpipe.models.engine.kernels.sweeps import contiguous
from charpipe.models.engine.kernels.tiles import UNIT, Blocks
from charpipe.models.engine.lanes import Piece, divide, do_all
from charpipe.models.engine.memory import zeros
from charpipe.models.processor import Processor

AT_ONCE = 128
"""Rows of a window over which a gradient is summed in registers, before the sum goes to memory."""
PARTS = 2
"""Pieces in which rows are laid out, which takes longer than columns."""


def rounded(count: int) -> int:
    """Up to the next number of units that kernels take."""
    return -(-count // UNIT) * UNIT


class Matrix:
    """`gates` matrices of [units, inputs], filled up with zeros to multiples of 16, in two layouts: `rows` to multiply
    inputs by, and `columns` for the way back to them. `gradient` [gates, units, inputs] float32 is filled up as well.

    `dropped` is a share of the numbers that is left out, other ones for each seed. One that does not `learn` has `rows`
    alone.
    """

    def __init__(
        self,
        processor: Processor,
        kind: Kind,
        shape: tuple[int, int, int],
        dropped: float = 0.0,
        *,
        learns: bool = True,
    ) -> None:
        self._processor, self._kind, self._shape, self._learns = processor, kind, shape, learns
        self.gates, self.units, self.inputs = full = shape[0], rounded(shape[1]), rounded(shape[2])
        self._full = torch.zeros(full) if full != shape or dropped else None
        none, dtype = (0, 0, 0), getattr(torch, kind.name)
        self.rows, self.columns = zeros(*full, dtype=dtype), zeros(*(full if learns else none), dtype=dtype)
        self.gradient = zeros(*(full if learns else none))
        self._drop = None
        if dropped:
            blocks = Blocks.of(self.gates * self.units, 1)
            kernel = assembled(processor, Drop, FLOAT32, self.inputs, dropped, False, blocks.sizes)
            self._drop = lambda seed, at: kernel(1, 0, *blocks.counts, 0, seed, at, at)
        self._pack_rows = assembled(processor, PackRows, kind, *full)
        if learns:
            self._pack_columns = assembled(processor, PackColumns, kind, self.gates * self.units, self.inputs)
        self._seed = 0

    def packing(self, values: Tensor, seed: int = 0) -> Iterator[Piece]:
        """What lays out `values`, float32 [gates * units, inputs] without what fills up."""
        whole = values.detach().view(self._shape)
        if self._full is not None:
            self._full[:, : self._shape[1], : self._shape[2]] = whole
            whole = self._full
        self._seed = seed
        if self._drop is not None:
            self._drop(seed, whole.data_ptr())
        for part in range(PARTS):
            yield partial(self._pack_rows, whole.data_ptr(), self.rows.data_ptr(), part, PARTS)
        if self._learns:
            yield partial(self._pack_columns, whole.data_ptr(), self.columns.data_ptr())

    def summing(
        self, values: Tensor, of_sums: Tensor, blocks: tuple[int, ...], rooms: list[Tensor]
    ) -> list[Piece]:
        """What sums up the gradient, a piece for each of the rooms: of values [rows, inputs] that were multiplied and
        gradients [rows, wide] of what came of them, whose `blocks` of `units` these are."""
        spec = (self._kind, of_sums.shape[1], self.inputs, AT_ONCE)
        kernel = assembled(self._processor, WeightGradient, *spec)
        flat = self.gradient.view(-1, self.inputs)

        def some(room: Tensor, gates: tuple[int, int], column: int) -> None:
            """Rows of the gradient, whose sums are found from a column on."""
            mine = flat[gates[0] : gates[1]].zero_()
            panels, rest = divmod(len(mine), PANEL)
            sums = of_sums.data_ptr() + column * of_sums.element_size()
            panel_room = room.data_ptr()
            kernel(
                len(of_sums), panels, rest // UNIT, sums, values.data_ptr(), mine.data_ptr(),
                panel_room, panel_room + AT_ONCE * PANEL * WORD,
            )  # fmt: skip

        pieces: list[list[Piece]] = [[] for _ in rooms]
        done = 0
        for start, length in contiguous(blocks, self.units):
            for part, (a, b) in enumerate(divide(length, len(rooms), PANEL)):
                pieces[part].append(partial(some, rooms[part], (done + a, done + b), start + a))
            done += length
        return [partial(do_all, each) for each in pieces]

    @property
    def room(self) -> int:
        """Float32 numbers that a thread needs to sum the gradient."""
        return AT_ONCE * (PANEL + self.inputs)

    def found(self) -> Tensor:
        """The gradient of the values given, [gates * units, inputs]."""
        if self._drop is not None:
            self._drop(self._seed, self.gradient.data_ptr())
        return self.gradient[:, : self._shape[1], : self._shape[2]].flatten(0, 1).contiguous()
