"""A recurrent layer of a training: its matrices, its memory for a window, and its way through one and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from charpipe.models.contract import State
from charpipe.models.engine.kernels.cells import CELLS
from charpipe.models.engine.kernels.code import WORD, Kind
from charpipe.models.engine.kernels.dropping import Drop
from charpipe.models.engine.kernels.gradients import LookUpGradient
from charpipe.models.engine.kernels.machine_code import assembled
from charpipe.models.engine.kernels.sweeps import BackwardSweep, ForwardSweep, Layer, Through, row_of_kept
from charpipe.models.engine.kernels.tiles import Blocks, lanes_in_tile
from charpipe.models.engine.lanes import Piece, divide
from charpipe.models.engine.matrices import Matrix, rounded
from charpipe.models.engine.memory import zeros
from charpipe.models.processor import Processor
from charpipe.models.recurrence import TorchRecurrence


@dataclass(frozen=True)
class Share:
    """The lanes from `first` on that a thread takes through the window, and the blocks that they are taken in."""

    first: int
    window: tuple[int, int, int, int]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, processor: Processor, steps: int, lanes: int, stretch: tuple[int, int]) -> Share:
        """Of a stretch of a window's lanes."""
        blocks = Blocks.of(stretch[1] - stretch[0], lanes_in_tile(processor))
        return cls(stretch[0], (steps, lanes, *blocks.counts), blocks.sizes)

    def at(self, values: Tensor, dimension: int = 1) -> int:
        """The address of the first of these lanes."""
        return values.data_ptr() + self.first * values.stride(dimension) * values.element_size()


class RecurrentLayer:
    """Layer `place` of PyTorch's, with products of `kind`; of what goes on to the next a share is `dropped`."""

    def __init__(
        self,
        processor: Processor,
        kind: Kind,
        recurrence: TorchRecurrence,
        place: int,
        dropped: tuple[float, bool] = (0.0, False),
        *,
        learns: bool = True,
    ) -> None:
        layer = recurrence.layer
        self.learns = learns
        self.processor, self.kind, self.place, self.layer = processor, kind, place, layer
        self.cell, self.size = CELLS[type(layer)], layer.hidden_size
        self.units, self.dtype = rounded(self.size), getattr(torch, kind.name)
        gates = len(self.cell.from_hidden)
        shape, less = (gates, self.size, self.size), recurrence.recurrent_dropout if learns else 0.0
        self.hidden = Matrix(processor, kind, shape, less, learns=learns)
        self.inputs = Matrix(processor, kind, shape, learns=learns) if place else None
        self.dropped, self.locked = dropped
        self.seeds: Sequence[int] = (0, 0)
        # what inputs add: of the first layer one row for each character, of others the biases alone
        self.source = torch.zeros(0)
        self.of_source = torch.zeros(0)
        self.bias, self.of_bias = torch.zeros(self.units), torch.zeros(1, self.units)

    def make_room(self, steps: int, lanes: int) -> None:
        """Memory for a window: outputs with those before it first, gradients `above` of what goes on to the next layer,
        memories, what is kept of each cell, and the gradient that the memory carries. What fills up stays zero."""
        make = partial(zeros, dtype=self.dtype)
        values, learnt = (lanes, self.units), steps if self.learns else 0
        self.outputs, self.above = make(steps + 1, *values), make(learnt, *values)
        self.onward = make(steps, *values) if self.dropped else self.outputs[1:]
        self.memories = zeros(learnt + 1, *(values if self.cell.remembers else (1, 1)))
        self.carried = torch.zeros(values if self.cell.remembers else (1, 1))
        self.kept = make(learnt, lanes, row_of_kept(self.cell, self.units))
        self.nothing = torch.zeros(steps, lanes, dtype=torch.int64)

    # --- before a window ---

    def parameter(self, name: str) -> Tensor:
        """One of PyTorch's names, such as `weight_hh`, of this layer."""
        return self.layer.get_parameter(f"{name}_l{self.place}")

    def packing(self, seeds: Sequence[int]) -> Iterator[Piece]:
        """What lays out the weights as they are now; what is dropped follows from the seeds."""
        self.seeds = seeds
        yield from self.hidden.packing(self.parameter("weight_hh"), seeds[0])
        if self.inputs is not None:
            yield from self.inputs.packing(self.parameter("weight_ih"))

    def begin(self, state: State, source: Tensor | None) -> None:
        """Take the state before the window, and for the first layer what characters add to the sums, [any, gates *
        units]."""
        size, cell = self.size, self.cell
        self.outputs[0, :, :size] = state["hidden"][self.place]
        if cell.remembers:
            self.memories[0, :, :size] = state[cell.names[-1]][self.place]
            self.carried.zero_()
        bias = self.parameter("bias_ih") + self._added_bias()
        source = bias.unsqueeze(0) if source is None else source + bias
        self.source = self._filled_up(source.detach())
        if self.of_source.shape != self.source.shape:
            self.of_source = torch.zeros_like(self.source)
        if cell.from_inputs != cell.from_hidden:
            self.bias[:size] = self.parameter("bias_hh")[-size:].detach()

    def _added_bias(self) -> Tensor:
        """Both biases are added to the same sum, but for the GRU's n, where the reset gate stands between."""
        bias = self.parameter("bias_hh")
        if self.cell.from_inputs == self.cell.from_hidden:
            return bias
        return torch.cat([bias[: -self.size], bias.new_zeros(self.size)])

    def _filled_up(self, source: Tensor) -> Tensor:
        if self.units == self.size:
            return source.contiguous()
        gates = source.view(len(source), -1, self.size)
        return torch.nn.functional.pad(gates, (0, self.units - self.size)).flatten(1)

    # --- through it, some lanes at a time ---

    def forward(self, share: Share, rows: Tensor | None, below: Tensor | None) -> None:
        """From rows [T, B] of the source, or the outputs of the layer below, to outputs."""
        inputs = self.units if below is not None else 0
        spec = Layer(self.cell, self.kind, self.units, inputs, share.sizes, self.learns)
        assembled(self.processor, ForwardSweep, spec)(
            *share.window,
            share.at(self.nothing if rows is None else rows),
            self.source.data_ptr(),
            self.bias.data_ptr(),
            0 if below is None else share.at(below),
            0 if self.inputs is None else self.inputs.rows.data_ptr(),
            self.hidden.rows.data_ptr(),
            share.at(self.outputs),
            share.at(self.memories),
            share.at(self.kept),
        )
        if self.dropped:
            self._drop(share, self.outputs[1:], self.onward)

    def backward(self, share: Share, below: Tensor | None) -> None:
        """From gradients above to those of the sums, and of the outputs of the layer below."""
        if self.dropped:
            self._drop(share, self.above, self.above)
        spec = Layer(self.cell, self.kind, self.units, 0, share.sizes)
        assembled(self.processor, BackwardSweep, spec)(
            *share.window,
            self.hidden.columns.data_ptr(),
            share.at(self.memories),
            share.at(self.kept),
            share.at(self.above),
            share.at(self.carried, 0),
        )
        if self.inputs is not None and below is not None:
            spec_ = (spec.wide, self.cell.from_inputs, self.units, self.units, share.sizes)
            assembled(self.processor, Through, self.kind, *spec_)(
                *share.window, share.at(self.kept), self.inputs.columns.data_ptr(), share.at(below)
            )

    def _drop(self, share: Share, values: Tensor, out: Tensor) -> None:
        spec = (self.kind, self.units, self.dropped, self.locked, share.sizes)
        assembled(self.processor, Drop, *spec)(
            *share.window, share.first, self.seeds[1], share.at(values), share.at(out)
        )

    # --- after it ---

    def summing(
        self, rooms: list[Tensor], rows: Tensor | None, below: Tensor | None
    ) -> Iterator[list[Piece]]:
        """The gradients to be summed, each in as many pieces as there are rooms."""
        sums = self.kept.flatten(0, 1)
        before = self.outputs[:-1].flatten(0, 1)
        yield self.hidden.summing(before, sums, self.cell.from_hidden, rooms)
        if self.inputs is not None and below is not None:
            yield self.inputs.summing(below.flatten(0, 1), sums, self.cell.from_inputs, rooms)
        numbers = self.nothing if rows is None else rows
        yield self._look_up(numbers, 0, self.of_source, len(rooms))
        if self.cell.from_inputs != self.cell.from_hidden:
            first = self.cell.from_hidden[-1] * self.units
            yield self._look_up(self.nothing, first, self.of_bias, len(rooms))

    def _look_up(self, numbers: Tensor, first: int, table: Tensor, parts: int) -> list[Piece]:
        """What adds gradients of sums, from number `first` on, to the rows of the table that were added to them."""
        kernel = assembled(self.processor, LookUpGradient, self.kind, self.kept.shape[2], table.shape[1])
        width = self.processor.width

        def piece(a: int, b: int) -> None:
            table[:, a:b] = 0
            sums = self.kept.data_ptr() + (first + a) * self.kept.element_size()
            kernel(numbers.numel(), (b - a) // width, numbers.data_ptr(), sums, table.data_ptr() + a * WORD)

        return [partial(piece, a, b) for a, b in divide(table.shape[1], parts, width)]

    def gradients(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Parameters and their gradients, but for the first layer's input weights."""
        source = self._without_filling(self.of_source)
        bias = source.sum(0) if len(source) > 1 else source[0]
        yield self.parameter("weight_hh"), self.hidden.found()
        if self.inputs is not None:
            yield self.parameter("weight_ih"), self.inputs.found()
        yield self.parameter("bias_ih"), bias
        if self.cell.from_inputs == self.cell.from_hidden:
            yield self.parameter("bias_hh"), bias.clone()
        else:
            yield self.parameter("bias_hh"), torch.cat([bias[: -self.size], self.of_bias[0, : self.size]])

    def of_look_up(self) -> Tensor:
        """The gradient of what each character adds, [any, gates * units]."""
        return self._without_filling(self.of_source)

    def _without_filling(self, values: Tensor) -> Tensor:
        return values.view(len(values), -1, self.units)[:, :, : self.size].flatten(1)

    def state(self) -> list[Tensor]:
        """The carried tensors after the window, [B, H] float32 each."""
        hidden = self.outputs[-1, :, : self.size].float()
        if not self.cell.remembers:
            return [hidden.clone()]
        memory = self.memories[-1, :, : self.size].clone()
        return [hidden.clone(), memory] if len(self.cell.names) > 1 else [memory]
