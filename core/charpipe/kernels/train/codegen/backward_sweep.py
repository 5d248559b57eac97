"""The backward pass of a recurrent layer over a window: for each step, from the last to the first, the product that
leads from the next step's gates back to the hidden units, and then the cell's gradients."""

from __future__ import annotations

from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import WORD, Int, Pointer, Vector
from charpipe.kernels.train.codegen.amx_product import AmxSums, uses_amx, zero_where
from charpipe.kernels.train.codegen.forward_sweep import load_vectors
from charpipe.kernels.train.codegen.products import add_product, adjacent_spans, span_terms
from charpipe.kernels.train.codegen.sweep_spec import SweepSpec
from charpipe.kernels.train.codegen.tiles import INDEX, TILE_COLUMNS, Window, each_tile


class BackwardSweep:
    """The kernel `backward(window, recurrent weights, carry, saved, grad_hidden, grad_carry, vectors, resets)`.

    The saved values [T, B, slots, H] are replaced by the gradients of the pre-activations, and after these by what the
    gradients of the vectors are sums of. `grad_hidden` [T, B, H] is the gradient of the outputs from above;
    `grad_carry` [B, states, H] is that of the carried states, updated from step to step.

    With resets, no gradient leads from a step where `resets` [T + 1, B] is 1 to the one before: `saved` and
    `grad_carry` have one block [B, ...] of zeros more at their end, which is read in the place of the next step's
    gradients, and `carry` one as in the forward pass.
    """

    ARGUMENTS = Window.ARGUMENTS + 7

    def __init__(self, processor: Processor, spec: SweepSpec) -> None:
        self.spec, self.cell = spec, spec.cell
        self.builder = KernelBuilder(processor, self.ARGUMENTS)
        self.window = Window(self.builder, spec.block_sizes)
        pointers = [self.builder.pointer(address) for address in self.builder.arguments[Window.ARGUMENTS :]]
        self.recurrent_weights, self.carry, self.saved, self.grad_hidden, self.grad_carry = pointers[:5]
        self.vectors, self.resets = pointers[5:]
        self.back = self.window.steps
        amx = uses_amx(processor, spec.dtype)
        self.amx_sums = AmxSums(self.builder, spec.block_sizes[0], TILE_COLUMNS) if amx else None

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        self.builder.loop(self.window.steps, self._step)
        if self.amx_sums is not None:
            self.amx_sums.release()
        return self.builder.finish()

    def _step(self, back: Int) -> None:
        first_row = (self.window.steps - 1 - back) * self.window.batch_size
        self.back = back

        def tile(register: Int, registers: int) -> None:
            def block(first: Int, count: int) -> None:
                if self.amx_sums is None:
                    self._tile(back, first_row, [first + i for i in range(count)], register, registers)
                else:
                    self._amx_tile(self.amx_sums, back, first_row, first, count, register, registers)

            self.window.each_block(block)

        each_tile(self.builder, self.spec.units, TILE_COLUMNS, tile)

    def _tile(self, back: Int, first_row: Int, streams: list[Int], register: Int, registers: int) -> None:
        """Some streams at a step, and some units: from the next step's gradients to their own."""
        builder, spec, dtype, width = self.builder, self.spec, self.spec.dtype, self.builder.width
        for stream in streams:
            self._prefetch(first_row + stream, stream, register * width, registers * width)
        stride = spec.saved_stride * dtype.size
        following = [first_row + self.window.batch_size + stream for stream in streams]
        next_rows = [self.saved + (row + self._jump(row, self.back)) * stride for row in following]
        times = back.min(1)  # 0 at the last step, which no later one follows
        accumulators = [[builder.zero] * registers for _ in streams]
        spans = adjacent_spans(self.cell.hidden_gates, spec.units)
        found = add_product(
            builder, dtype, accumulators, next_rows, self.recurrent_weights, spans, register, times
        )  # of a cell without hidden gates nothing is added
        for stream, gradients in zip(streams, found, strict=True):
            for i, gradient in enumerate(gradients):
                self._apply_cell(first_row + stream, stream, (register + i) * width, gradient)

    def _amx_tile(
        self, sums: AmxSums, back: Int, first_row: Int, first: Int, count: int, register: Int, registers: int
    ) -> None:
        """`_tile` by AMX, of the streams from `first` on."""
        builder, spec, width = self.builder, self.spec, self.builder.width

        def prefetch(i: Int) -> None:
            stream = first + i
            self._prefetch(first_row + stream, stream, register * width, registers * width)

        builder.loop(count, prefetch)
        stride, surplus = spec.saved_stride * spec.dtype.size, sums.surplus(count)
        next_row = first_row + self.window.batch_size + first
        next_rows = self.saved + (next_row - surplus) * stride
        spans, times = adjacent_spans(self.cell.hidden_gates, spec.units), back.min(1)
        weights = self.recurrent_weights
        terms = span_terms(spec.dtype, next_rows, stride, weights, spans, register, registers, times)
        sums.add_up(terms, registers)

        def row(i: Int) -> None:
            stream, loaded = first + i, sums.load(i + surplus, registers)
            if spec.resets:
                loaded = zero_where(builder, self.resets + (next_row + i) * INDEX, loaded)
            for place, gradient in enumerate(loaded):
                self._apply_cell(first_row + stream, stream, (register + place) * width, gradient)

        builder.loop(count, row)

    def _jump(self, row: Int, blocks: int | Int) -> int | Int:
        """Rows from a row to that of zeros, so many blocks [B, ...] later, if its stream starts anew there; else 0."""
        if not self.spec.resets:
            return 0
        return self.builder.load_int(self.resets + row * INDEX) * blocks * self.window.batch_size

    def _prefetch(self, row: Int, stream: Int, unit: Int, count: int) -> None:
        builder, cell, units, size = self.builder, self.cell, self.spec.units, self.spec.dtype.size
        builder.prefetch(self.grad_hidden + (row * units + unit) * size, count * size)
        for slot in range(cell.slots):
            builder.prefetch(self._saved_at(row, unit, slot), count * size, write=True)
        for state in range(len(cell.carried)):
            builder.prefetch(self._state_at(self.grad_carry, stream, state, unit), count * WORD, write=True)
            for each in (row, row + self.window.batch_size):
                builder.prefetch(self._state_at(self.carry, each, state, unit), count * WORD)

    def _saved_at(self, row: Int, unit: Int, slot: int) -> Pointer:
        spec = self.spec
        return self.saved + (row * spec.saved_stride + unit + slot * spec.units) * spec.dtype.size

    def _state_at(self, values: Pointer, row: Int, state: int, unit: Int) -> Pointer:
        """Some units of a carried state, in `values` [any, states, H]."""
        place = row * len(self.cell.carried) + state
        return values + (place * self.spec.units + unit) * WORD

    def _apply_cell(self, row: Int, stream: Int, unit: Int, gradient: Vector) -> None:
        """The gradients of the cell of some units, whose hidden gradient is what came back plus that from above."""
        builder, cell, spec, dtype = self.builder, self.cell, self.spec, self.spec.dtype
        above = builder.load(self.grad_hidden + (row * spec.units + unit) * dtype.size, dtype)
        next_row = row + self.window.batch_size
        before, after = {}, {}
        gradients = {cell.trace.state[0]: gradient + above}
        grad_carries = []
        for state, name in enumerate(cell.carried):
            before_row, next_stream = row + self._jump(row, self.back + 2), stream + self._jump(next_row, 1)
            before[name] = builder.load(self._state_at(self.carry, before_row, state, unit))
            after[name] = builder.load(self._state_at(self.carry, next_row, state, unit))
            grad_carries.append(self._state_at(self.grad_carry, stream, state, unit))
            carried = builder.load(self._state_at(self.grad_carry, next_stream, state, unit))
            gradients[name] = gradients[name] + carried if name in gradients else carried
        saved = [builder.load(self._saved_at(row, unit, slot), dtype) for slot in range(cell.saved)]
        vectors = load_vectors(builder, cell, self.vectors, unit, spec.units)
        grad_pre, grad_states, grad_vectors = cell.backward(
            builder, saved, before, after, vectors, gradients, spec.precise
        )
        for slot, value in enumerate([*grad_pre, *grad_vectors]):
            builder.store(self._saved_at(row, unit, slot), value, dtype)
        for pointer, value in zip(grad_carries, grad_states, strict=True):
            builder.store(pointer, value)
