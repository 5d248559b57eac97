"""A recurrent layer of a training: its matrices, its memory for a window, and the kernels that take it through one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from charpipe.kernels.jit.compiler import compile_kernel
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import WORD, DType
from charpipe.kernels.modules import NetworkModules
from charpipe.kernels.train.batch_shard import BatchShard
from charpipe.kernels.train.codegen.backward_sweep import BackwardSweep
from charpipe.kernels.train.codegen.cell_step import CellStep
from charpipe.kernels.train.codegen.dropout import Dropout
from charpipe.kernels.train.codegen.forward_sweep import ForwardSweep
from charpipe.kernels.train.codegen.products import InputGradient
from charpipe.kernels.train.codegen.sweep_spec import SweepSpec, saved_stride, tile_registers
from charpipe.kernels.train.codegen.tiles import padding_multiple
from charpipe.kernels.train.codegen.weight_gradients import ScatterAdd
from charpipe.kernels.train.memory import zeros
from charpipe.kernels.train.packed_matrix import PackedMatrix, padded
from charpipe.kernels.train.threads import Thunk, partition


class RecurrentLayer:
    """Layer `number` of PyTorch's, with products of `dtype`. Its outputs are dropped out with probability
    `dropout[0]`, by one mask a window if `dropout[1]`."""

    def __init__(
        self,
        processor: Processor,
        dtype: DType,
        modules: NetworkModules,
        number: int,
        dropout: tuple[float, bool] = (0.0, False),
        *,
        recurrent_dropout: float = 0.0,
        training: bool = True,
    ) -> None:
        self.training, self.modules = training, modules
        self.processor, self.dtype, self.number = processor, dtype, number
        self.cell = CellStep(modules.trace)
        self.size = modules.layer.hidden_size
        self.units, self.torch_dtype = (
            padded(self.size, padding_multiple(processor, dtype)),
            getattr(torch, dtype.name),
        )
        registers = tile_registers(self.cell, with_inputs=number > 0)

        def matrix(gates: int, dropout: float = 0.0) -> PackedMatrix:
            shape = (gates, self.size, self.size)
            return PackedMatrix(processor, dtype, shape, dropout, training=training, registers=registers)

        hidden_gates = len(self.cell.hidden_gates)
        self.recurrent = matrix(hidden_gates, recurrent_dropout) if hidden_gates else None
        self.inputs = matrix(len(self.cell.input_gates)) if number else None
        self.dropout, self.locked = dropout
        self.seeds: Sequence[int] = (0, 0)
        self.resets: Tensor | None = None
        """int64 [T + 1, B], 1 where a stream starts from the zero state; None where none ever does."""
        self.streams = (0, 0)
        """The number of the window's first stream in the whole batch, and the streams in that: see `Dropout`."""
        # what is added to the gates: of the first layer one row a token, of the others the biases alone
        self.table = torch.zeros(0)
        self.grad_table = torch.zeros(0)
        # of the gates without inputs, and of the vectors
        alone = len(self.cell.trace.hidden_only)
        self.bias, self.grad_bias = torch.zeros(alone, self.units), torch.zeros(1, alone * self.units)
        count = len(self.cell.trace.vectors)
        self.vectors, self.grad_vectors = torch.zeros(count, self.units), torch.zeros(1, count * self.units)

    def allocate(self, steps: int, batch_size: int) -> None:
        """Memory for a window. Without training nothing is kept for a backward pass. Padding stays zero.

        hidden [T + 1, B, H]    the state before the window, and after each step
        outputs [T, B, H]       hidden after dropout, the input of the next layer
        grad_hidden [T, B, H]   gradients of the outputs
        carry [T + 1, B, S, H]  the S carried states in float32; grad_carry [B, S, H] their gradients
        saved [T, B, stride]    what the forward pass saves of each gate; afterwards gradients of the pre-activations

        Where streams start anew within a window, hidden, carry, grad_carry and saved end with a block of zeros, and
        hidden has another one after it, see `ForwardSweep`.
        """
        make = partial(zeros, dtype=self.torch_dtype)
        values, kept_steps = (batch_size, self.units), steps if self.training else 0
        states = (batch_size, len(self.cell.carried), self.units)
        more = int(self.modules.end_token is not None)
        self.steps = steps
        self.hidden, self.grad_hidden = make(steps + 1 + 2 * more, *values), make(kept_steps, *values)
        self.outputs = make(steps, *values) if self.dropout else self.hidden[1 : steps + 1]
        self.carry, self.grad_carry = zeros(kept_steps + 1 + more, *states), torch.zeros(1 + more, *states)
        self.saved = make(kept_steps + more, batch_size, saved_stride(self.cell, self.units))
        self.zero_rows = torch.zeros(steps, batch_size, dtype=torch.int64)

    # --- before a window ---

    def parameter(self, name: str) -> Tensor:
        """One of this layer's parameters, such as `weight_hh`."""
        return self.modules.layer_parameter(name, self.number)

    def packing(self, seeds: Sequence[int]) -> Iterator[Thunk]:
        """Thunks that pack the present weights; `seeds` are those of recurrent dropout and of dropout."""
        self.seeds = seeds
        if self.recurrent is not None:
            yield from self.recurrent.packing(self.parameter("weight_hh"), seeds[0])
        if self.inputs is not None:
            yield from self.inputs.packing(self.parameter("weight_ih"))

    def begin(self, state: Mapping[str, Tensor], table: Tensor | None) -> None:
        """Set the state before the window, and for the first layer the input table [any, gates * H]."""
        size, cell = self.size, self.cell
        self.hidden[0, :, :size] = state[cell.trace.state[0]][self.number]
        for place, name in enumerate(cell.carried):
            self.carry[0, :, place, :size] = state[name][self.number]
        self.grad_carry.zero_()
        bias_ih, (shared, alone) = self.parameter("bias_ih"), self._hidden_biases()
        bias = torch.cat([bias_ih[: len(shared)] + shared, bias_ih[len(shared) :]])
        table = bias.unsqueeze(0) if table is None else table + bias
        self.table = self._pad(table.detach())
        if self.grad_table.shape != self.table.shape:
            self.grad_table = torch.zeros_like(self.table)
        self.bias[:, :size] = alone.view(-1, size).detach()
        for place, name in enumerate(cell.trace.vectors):
            self.vectors[place, :size] = self.parameter(name).detach()

    def _hidden_biases(self) -> tuple[Tensor, Tensor]:
        """bias_hh of the gates that the inputs feed as well, which come first, and of those without inputs."""
        if not self.cell.hidden_gates:
            none = torch.zeros(0)
            return none, none
        bias, alone = self.parameter("bias_hh"), len(self.cell.trace.hidden_only) * self.size
        return bias[: len(bias) - alone], bias[len(bias) - alone :]

    def _pad(self, table: Tensor) -> Tensor:
        if self.units == self.size:
            return table.contiguous()
        gates = table.view(len(table), -1, self.size)
        return functional.pad(gates, (0, self.units - self.size)).flatten(1)

    def _unpad(self, table: Tensor) -> Tensor:
        return table.view(len(table), table.shape[1] // self.units, self.units)[:, :, : self.size].flatten(1)

    # --- through a window, a shard of the batch at a time ---

    def forward(self, shard: BatchShard, rows: Tensor | None, below: Tensor | None) -> None:
        """From rows [T, B] of the table, or outputs [T, B, I] of the layer below, to outputs."""
        inputs = self.units if below is not None else 0
        resets = self.resets is not None
        spec = SweepSpec(self.cell, self.dtype, self.units, inputs, shard.block_sizes, self.training, resets)
        compile_kernel(self.processor, ForwardSweep, spec)(
            *shard.window,
            shard.address(self.zero_rows if rows is None else rows),
            self.table.data_ptr(),
            self.bias.data_ptr(),
            0 if below is None else shard.address(below),
            0 if self.inputs is None else self.inputs.rows.data_ptr(),
            0 if self.recurrent is None else self.recurrent.rows.data_ptr(),
            shard.address(self.hidden),
            shard.address(self.carry),
            shard.address(self.saved),
            self.vectors.data_ptr(),
            0 if self.resets is None else shard.address(self.resets),
        )
        if self.dropout:
            self._apply_dropout(shard, self.hidden[1:], self.outputs)

    def backward(self, shard: BatchShard, grad_below: Tensor | None) -> None:
        """From `grad_hidden` to the gradients of the pre-activations, and of the outputs of the layer below."""
        if self.dropout:
            self._apply_dropout(shard, self.grad_hidden, self.grad_hidden)
        resets = self.resets is not None
        spec = SweepSpec(self.cell, self.dtype, self.units, 0, shard.block_sizes, resets=resets)
        compile_kernel(self.processor, BackwardSweep, spec)(
            *shard.window,
            0 if self.recurrent is None else self.recurrent.columns.data_ptr(),
            shard.address(self.carry),
            shard.address(self.saved),
            shard.address(self.grad_hidden),
            shard.address(self.grad_carry),
            self.vectors.data_ptr(),
            0 if self.resets is None else shard.address(self.resets),
        )
        if self.inputs is not None and grad_below is not None:
            sizes = (spec.saved_stride, self.cell.input_gates, self.units, self.units, shard.block_sizes)
            compile_kernel(self.processor, InputGradient, self.dtype, *sizes)(
                *shard.window,
                shard.address(self.saved),
                self.inputs.columns.data_ptr(),
                shard.address(grad_below),
            )

    def _apply_dropout(self, shard: BatchShard, values: Tensor, out: Tensor) -> None:
        spec = (self.dtype, self.units, self.dropout, self.locked, shard.block_sizes)
        compile_kernel(self.processor, Dropout, *spec)(
            *shard.window,
            self.streams[0] + shard.first,
            self.streams[1],
            self.seeds[1],
            shard.address(values),
            shard.address(out),
        )

    # --- after it ---

    def gradient_thunks(
        self, scratch: list[Tensor], rows: Tensor | None, below: Tensor | None
    ) -> Iterator[list[Thunk]]:
        """For each gradient the thunks that sum it, at most as many as there are scratch memories."""
        grad_pre = self.saved[: self.steps].flatten(0, 1)
        before = self._hidden_before().flatten(0, 1)
        if self.recurrent is not None:
            yield self.recurrent.gradient_thunks(before, grad_pre, self.cell.hidden_gates, scratch)
        if self.inputs is not None and below is not None:
            yield self.inputs.gradient_thunks(below.flatten(0, 1), grad_pre, self.cell.input_gates, scratch)
        table_rows, gates = self.zero_rows if rows is None else rows, self.cell.gates
        yield self._scatter_add(table_rows, 0, self.grad_table, len(scratch))
        if self.grad_bias.numel():
            first = gates * self.units - self.grad_bias.shape[1]
            yield self._scatter_add(self.zero_rows, first, self.grad_bias, len(scratch))
        if self.grad_vectors.numel():
            yield self._scatter_add(self.zero_rows, gates * self.units, self.grad_vectors, len(scratch))

    def _hidden_before(self) -> Tensor:
        """The hidden units before each step, [T, B, H]: zero where a stream starts anew."""
        before = self.hidden[: self.steps]
        if self.resets is None or not self.resets.any():
            return before
        return before.masked_fill(self.resets[: self.steps, :, None] > 0, 0)

    def _scatter_add(self, rows: Tensor, first: int, table: Tensor, parts: int) -> list[Thunk]:
        """Thunks that add gradients of pre-activations, from column `first` on, to the rows of a table that were added
        to these pre-activations."""
        kernel = compile_kernel(self.processor, ScatterAdd, self.dtype, self.saved.shape[2], table.shape[1])
        width = self.processor.width

        def add(a: int, b: int) -> None:
            table[:, a:b] = 0
            source = self.saved.data_ptr() + (first + a) * self.saved.element_size()
            target = table.data_ptr() + a * WORD
            kernel(rows.numel(), (b - a) // width, rows.data_ptr(), source, target)

        return [partial(add, a, b) for a, b in partition(table.shape[1], parts, width)]

    def gradients(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Parameters and their gradients; those of the first layer's input weights come from `unpadded_grad_table`."""
        table = self.unpadded_grad_table()
        bias = table.sum(0) if len(table) > 1 else table[0]
        if self.recurrent is not None:
            yield self.parameter("weight_hh"), self.recurrent.unpadded_gradient()
        if self.inputs is not None:
            yield self.parameter("weight_ih"), self.inputs.unpadded_gradient()
        yield self.parameter("bias_ih"), bias
        if self.recurrent is not None:
            shared = len(self._hidden_biases()[0])
            yield self.parameter("bias_hh"), torch.cat([bias[:shared], self._unpad(self.grad_bias)[0]])
        for place, name in enumerate(self.cell.trace.vectors):
            yield self.parameter(name), self.grad_vectors.view(-1, self.units)[place, : self.size].clone()

    def unpadded_grad_table(self) -> Tensor:
        """The gradient of the input table, [any, gates * H]."""
        return self._unpad(self.grad_table)

    def states(self) -> list[Tensor]:
        """The state's tensors after each step of the window, float32 [T, B, H] each; only with `training`."""
        cell, steps = self.cell, self.steps
        found = {cell.trace.state[0]: self.hidden[1 : steps + 1, :, : self.size].float()}
        for place, name in enumerate(cell.carried):
            found[name] = self.carry[1 : steps + 1, :, place, : self.size]
        return [found[name] for name in cell.trace.state]

    def state(self) -> list[Tensor]:
        """The state's tensors after the window, float32 [B, H] each."""
        cell = self.cell
        found = {cell.trace.state[0]: self.hidden[self.steps, :, : self.size].float().clone()}
        for place, name in enumerate(cell.carried):
            last = self.steps if self.training else 0
            found[name] = self.carry[last, :, place, : self.size].clone()
        return [found[name] for name in cell.trace.state]
