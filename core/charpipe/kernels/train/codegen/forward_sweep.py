"""The forward pass of a recurrent layer over a window: for each step and tile a product and, while its sums are still
in registers, the cell.

Streams do not depend on each other, so each thread takes a shard of the batch through the whole window. Before a
product is summed up, the memory that the cell is going to need is prefetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import WORD, Int, Pointer, Vector
from charpipe.kernels.train.codegen.amx_product import AmxSums, Term, copy_row, uses_amx, zero_where
from charpipe.kernels.train.codegen.cell_step import CellStep
from charpipe.kernels.train.codegen.sweep_spec import SweepSpec
from charpipe.kernels.train.codegen.tiles import (
    INDEX,
    TILE_COLUMNS,
    Accumulators,
    Window,
    each_tile,
    multiply_tile,
    tile_rows,
)


def batched(streams: Sequence[Int], count: int) -> Iterator[Sequence[Int]]:
    """The streams, at most `count` at a time."""
    for first in range(0, len(streams), count):
        yield streams[first : first + count]


class ForwardSweep:
    """The kernel `forward(window, table rows, table, bias, inputs, input weights, recurrent weights, hidden, carry,
    saved, vectors, resets)`.

    Row `table_rows[t, b]` of `table` [any, input gates, H] is what stream b adds to the pre-activations at step t: of
    the first layer the token's row of W x + b, of the others the bias alone. `bias` [gates without inputs, H] is added
    to those gates. `hidden` [T + 1, B, H], `carry` [T + 1, B, states, H] and `saved` [T, B, stride] begin with the
    state before the window. `vectors` [any, H] are the cell's. Without training nothing is saved, and `carry` is [B,
    states, H], overwritten at each step.

    With resets, `resets` [T + 1, B] is 1 where a stream starts from the zero state, else 0. `hidden` and `carry` have
    one block [B, ...] of zeros more at their end, which the step then reads in the place of the state before it. By
    AMX `hidden` has another one after these zeros, for the rows that a step multiplies together with inputs; without
    inputs, the sums of streams that start from the zero state are set to zero.
    """

    ARGUMENTS = Window.ARGUMENTS + 11

    def __init__(self, processor: Processor, spec: SweepSpec) -> None:
        self.spec, self.cell = spec, spec.cell
        self.builder = KernelBuilder(processor, self.ARGUMENTS)
        self.window = Window(self.builder, spec.block_sizes)
        pointers = [self.builder.pointer(address) for address in self.builder.arguments[Window.ARGUMENTS :]]
        self.table_rows, self.table, self.bias, self.inputs, self.input_weights = pointers[:5]
        self.recurrent_weights, self.hidden, self.carry, self.saved, self.vectors, self.resets = pointers[5:]
        self.to_zeros = self.window.batch_size
        amx, columns = uses_amx(processor, spec.dtype), spec.tile_registers * spec.cell.gates
        self.amx_sums = AmxSums(self.builder, spec.block_sizes[0], columns) if amx else None

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        self.builder.loop(self.window.steps, self._step)
        if self.amx_sums is not None:
            self.amx_sums.release()
        return self.builder.finish()

    def _step(self, t: Int) -> None:
        first_row = t * self.window.batch_size
        if self.spec.resets:
            self.to_zeros = (
                self.window.steps + 1 - t
            ) * self.window.batch_size  # rows from here to the zeros
            if self.amx_sums is not None and self._gathers:
                self.window.each_block(lambda first, count: self._gather(first_row + first, count))

        def tile(register: Int, registers: int) -> None:
            def block(first: Int, count: int) -> None:
                if self.amx_sums is not None:
                    self._amx_tile(self.amx_sums, first_row, first, count, register, registers)
                    return
                streams = [first + i for i in range(count)]
                for some in batched(streams, self._rows_at_once(registers)):
                    self._tile(first_row, list(some), register, registers)

            self.window.each_block(block)

        # all gates of a unit are in one tile, so that the cell finds them in registers
        each_tile(self.builder, self.spec.units, self.spec.tile_registers, tile)

    def _rows_at_once(self, registers: int) -> int:
        """Rows whose sums fit into the accumulators of a tile: fewer than usual if the cell has many gates."""
        fed = max(len(self.cell.hidden_gates), len(self.cell.input_gates) if self.spec.inputs else 0)
        accumulators = tile_rows(self.builder.processor) * TILE_COLUMNS
        return max(1, accumulators // max(1, registers * fed))

    def _tile(self, first_row: Int, streams: list[Int], register: Int, registers: int) -> None:
        """Some streams at a step, and some units: from their inputs to their outputs."""
        spec, cell, width = self.spec, self.cell, self.builder.width
        rows = [first_row + stream for stream in streams]
        for row, stream in zip(rows, streams, strict=True):
            self._prefetch(row, stream, register * width, registers * width)
        # [rows][registers of units][gates]
        pre = [[[self.builder.zero] * cell.gates for _ in range(registers)] for _ in rows]
        if spec.inputs:
            weights = self._packed(self.input_weights, cell.input_gates, spec.inputs, register)
            self._add_product(
                pre, cell.input_gates, self._at(self.inputs, rows, spec.inputs), weights, spec.inputs
            )
        if cell.hidden_gates:
            weights = self._packed(self.recurrent_weights, cell.hidden_gates, spec.units, register)
            before = self._at(self.hidden, [self._before(row) for row in rows], spec.units)
            self._add_product(pre, cell.hidden_gates, before, weights, spec.units)
        for row, stream, units in zip(rows, streams, pre, strict=True):
            self._finish(row, stream, register, units)

    def _before(self, row: Int) -> Int:
        """The row of the state before a step: that row itself, or one of zeros where the stream starts anew."""
        if not self.spec.resets:
            return row
        return row + self.builder.load_int(self.resets + row * INDEX) * self.to_zeros

    @property
    def _gathers(self) -> bool:
        """Whether AMX reads copies of the states before a step, where some are zero."""
        return self.spec.resets and bool(self.spec.inputs) and bool(self.cell.hidden_gates)

    def _starts_anew(self, first: Int, count: int) -> Int:
        """1 if any stream of a block starts from the zero state, else 0."""
        found = self.builder.load_int(self.resets + first * INDEX)
        for i in range(1, count):
            found = found + self.builder.load_int(self.resets + (first + i) * INDEX)
        return found.min(1)

    def _gather(self, first: Int, count: int) -> None:
        """Copy the state before a step of so many rows from `first` on to where AMX reads it, if any is zero."""

        def copy(i: Int) -> None:
            row = first + i
            source, target = self._at(self.hidden, [self._before(row), self._gathered(row)], self.spec.units)
            copy_row(self.builder, source, target, self.spec.units * self.spec.dtype.size)

        self.builder.loop(self._starts_anew(first, count) * count, copy)

    def _gathered(self, row: Int) -> Int:
        """The row of the copy of the state before a step."""
        return row + self.to_zeros + self.window.batch_size

    def _finish(self, row: Int, stream: Int, register: Int, units: Accumulators) -> None:
        """From the sums of a row's products to its outputs; `units` are [registers of units][gates]."""
        for i, sums in enumerate(units):
            unit = (register + i) * self.builder.width
            added = self._from_table(row, unit)
            whole = [one + other for one, other in zip(sums, added, strict=True)]
            self._apply_cell(row, stream, unit, whole)

    def _amx_tile(
        self, sums: AmxSums, first_row: Int, first: Int, count: int, register: Int, registers: int
    ) -> None:
        """`_tile` by AMX, of the streams from `first` on."""
        builder, cell, width, surplus = self.builder, self.cell, self.builder.width, sums.surplus(count)

        def prefetch(i: Int) -> None:
            stream = first + i
            self._prefetch(first_row + stream, stream, register * width, registers * width)

        builder.loop(count, prefetch)
        before = first_row + first - surplus
        if self._gathers:
            before = before + self._starts_anew(first_row + first, count) * (self._gathered(before) - before)
        terms = self._terms(first_row + first - surplus, before, register, registers)
        columns = registers * cell.gates
        sums.add_up(terms, columns)

        def row(i: Int) -> None:
            loaded = sums.load(i + surplus, columns)
            if self.spec.resets and not self.spec.inputs:
                loaded = zero_where(builder, self.resets + (first_row + first + i) * INDEX, loaded)
            units = [loaded[place * cell.gates :][: cell.gates] for place in range(registers)]
            self._finish(first_row + first + i, first + i, register, units)

        builder.loop(count, row)

    def _terms(self, row: Int, before: Int, register: Int, registers: int) -> list[Term]:
        """The products of a block of rows from `row` on, whose states before are from `before` on, for [registers of
        units][gates]."""
        spec, cell = self.spec, self.cell
        products = []
        if spec.inputs:
            products.append((self.inputs, row, self.input_weights, cell.input_gates, spec.inputs))
        if cell.hidden_gates:
            products.append((self.hidden, before, self.recurrent_weights, cell.hidden_gates, spec.units))
        terms = []
        for values, first, weights, gates, length in products:
            columns = tuple(
                place * len(gates) + gates.index(gate) if gate in gates else None
                for place in range(registers)
                for gate in range(cell.gates)
            )
            (rows,) = self._at(values, [first], length)
            packed = self._packed(weights, gates, length, register)
            words, stride = length // spec.dtype.per_word, length * spec.dtype.size
            terms.append(Term(rows, stride, packed, registers * len(gates), words, columns))
        return terms

    def _packed(self, weights: Pointer, gates: tuple[int, ...], length: int, register: Int) -> Pointer:
        """Where the packed weights of a tile begin."""
        words = len(gates) * length // self.spec.dtype.per_word
        return weights + register * (words * self.builder.width * WORD)

    def _at(self, values: Pointer, rows: list[Int], length: int) -> list[Pointer]:
        return [values + row * (length * self.spec.dtype.size) for row in rows]

    def _add_product(
        self,
        pre: list[Accumulators],
        gates: tuple[int, ...],
        rows: list[Pointer],
        weights: Pointer,
        length: int,
    ) -> None:
        """Add a product to the pre-activations [rows][registers][gates] of the gates that it feeds."""
        flat = [[register[gate] for register in mine for gate in gates] for mine in pre]
        words = length // self.spec.dtype.per_word
        found = multiply_tile(self.builder, self.spec.dtype, flat, rows, weights, words)
        for mine, row in zip(pre, found, strict=True):
            values = iter(row)
            for register in mine:
                for gate in gates:
                    register[gate] = next(values)

    def _table_row(self, row: Int) -> Pointer:
        index = self.builder.load_int(self.table_rows + row * INDEX)
        return self.table + index * (len(self.cell.input_gates) * self.spec.units * WORD)

    def _from_table(self, row: Int, unit: Int) -> list[Vector]:
        """What a row's token and the biases add to the gates of some units."""
        builder, fed, table_row = self.builder, self.cell.input_gates, self._table_row(row)
        places = [
            (table_row, fed.index(gate)) if gate in fed else (self.bias, gate - len(fed))
            for gate in range(self.cell.gates)
        ]
        return [builder.load(start + (unit + place * self.spec.units) * WORD) for start, place in places]

    def _prefetch(self, row: Int, stream: Int, unit: Int, count: int) -> None:
        builder, cell, spec, table_row = self.builder, self.cell, self.spec, self._table_row(row)
        for gate in range(len(cell.input_gates)):
            builder.prefetch(table_row + (unit + gate * spec.units) * WORD, count * WORD)
        for state in range(len(cell.carried)):
            builder.prefetch(self._carry_at(row, stream, state, unit), count * WORD)
        for slot in range(cell.saved if spec.training else 0):
            builder.prefetch(self._saved_at(row, unit, slot), count * spec.dtype.size, write=True)

    def _carry_at(self, row: Int, stream: Int, state: int, unit: Int) -> Pointer:
        place = (row if self.spec.training else stream) * len(self.cell.carried) + state
        return self.carry + (place * self.spec.units + unit) * WORD

    def _stream_before(self, row: Int, stream: Int) -> Int:
        """`_before` of a `carry` that has the states of one step alone, and zeros after them."""
        return stream + self.builder.load_int(self.resets + row * INDEX) * self.window.batch_size

    def _saved_at(self, row: Int, unit: Int, slot: int) -> Pointer:
        spec = self.spec
        return self.saved + (row * spec.saved_stride + unit + slot * spec.units) * spec.dtype.size

    def _apply_cell(self, row: Int, stream: Int, unit: Int, pre: list[Vector]) -> None:
        """The cell of some units: store what the backward pass and the next step need."""
        builder, cell, spec = self.builder, self.cell, self.spec
        carries = [self._carry_at(row, stream, state, unit) for state in range(len(cell.carried))]
        read = carries
        if spec.resets:
            read_row = self._before(row) if spec.training else self._stream_before(row, stream)
            read = [self._carry_at(read_row, read_row, state, unit) for state in range(len(cell.carried))]
        before = {name: builder.load(carry) for name, carry in zip(cell.carried, read, strict=True)}
        vectors = load_vectors(builder, cell, self.vectors, unit, spec.units)
        saved, hidden, after = cell.forward(builder, pre, before, vectors, spec.precise)
        for slot, value in enumerate(saved if spec.training else ()):
            builder.store(self._saved_at(row, unit, slot), value, spec.dtype)
        next_row = row + self.window.batch_size
        builder.store(self.hidden + (next_row * spec.units + unit) * spec.dtype.size, hidden, spec.dtype)
        step = self.window.batch_size * (len(cell.carried) * spec.units * WORD)
        for carry, value in zip(carries, after, strict=True):
            builder.store(carry + step if spec.training else carry, value)


def load_vectors(
    builder: KernelBuilder, cell: CellStep, vectors: Pointer, unit: Int, units: int
) -> dict[str, Vector]:
    """The cell's vectors of some units, from `vectors` [any, H]."""
    return {
        name: builder.load(vectors + (unit + place * units) * WORD)
        for place, name in enumerate(cell.trace.vectors)
    }
