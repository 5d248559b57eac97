"""A recurrent layer through a window, forward and back: for each step and tile the product, and at once, while its sums
are still in registers, what the cell makes of them.

Lanes need nothing of each other, so a thread takes some of them through the whole window alone. While a product is
summed up, memory is asked for what the cell will need.
"""

from __future__ import annotations

from dataclasses import dataclass

from charpipe.models.engine.kernels.cells import Cell
from charpipe.models.engine.kernels.code import BFLOAT16, WORD, Code, Int, Kind, Place, Vector
from charpipe.models.engine.kernels.tiles import COLUMNS, ROW, Sums, Window, each_tile, product
from charpipe.models.processor import Processor

APART = 32
"""Numbers that keep rows apart."""


@dataclass(frozen=True)
class Layer:
    """What a sweep is made for: a cell, how numbers lie in memory, its units, and its inputs where they are a layer's
    outputs and not looked up (else 0); both are multiples of 16. `sizes` are those of the blocks of lanes. One that
    `learns` keeps all that the way back needs."""

    cell: Cell
    kind: Kind
    units: int
    inputs: int
    sizes: tuple[int, ...]
    learns: bool = True

    @property
    def exact(self) -> bool:
        """Whether functions need be better than bfloat16 shows."""
        return self.kind is not BFLOAT16

    @property
    def wide(self) -> int:
        """Numbers kept of a lane at a step, apart from the next lane's."""
        return row_of_kept(self.cell, self.units)


def row_of_kept(cell: Cell, units: int) -> int:
    """Numbers from one lane's kept ones to the next lane's: rows a power of two apart would meet in the same few places
    of the processor's caches."""
    return cell.sums * units + APART


class ForwardSweep:
    """The kernel `forward`(window, rows, source, bias, inputs, input weights, recurrent weights, outputs, memories,
    kept): row `rows[t, b]` of `source` is what the input of lane b adds at step t. One that does not learn
    keeps nothing, and has the memories of one step."""

    ARGUMENTS = Window.ARGUMENTS + 9

    def __init__(self, processor: Processor, layer: Layer) -> None:
        self.layer, self.cell = layer, layer.cell
        self.code = Code(processor, self.ARGUMENTS)
        self.window = Window(self.code, layer.sizes)
        places = [self.code.place(address) for address in self.code.arguments[Window.ARGUMENTS :]]
        self.rows, self.source, self.bias, self.inputs, self.input_weights = places[:5]
        self.recurrent, self.outputs, self.memories, self.kept = places[5:]

    def text(self) -> str:
        """All of it as LLVM reads it."""
        self.code.loop(self.window.steps, self._step)
        return self.code.finish()

    def _step(self, t: Int) -> None:
        here = t * self.window.lanes

        def tile(register: Int, registers: int) -> None:
            self.window.each_block(
                lambda first, count: self._block(here, [first + i for i in range(count)], register, registers)
            )

        each_tile(self.code, self.layer.units, COLUMNS // self.cell.sums, tile)

    def _block(self, here: Int, own: list[Int], register: Int, registers: int) -> None:
        """Some lanes at a step, and some units: from their inputs to their outputs."""
        layer, cell, units, width = self.layer, self.cell, self.layer.units, self.code.width
        lanes = [here + lane for lane in own]
        for lane, mine in zip(lanes, own, strict=True):
            self._prefetch(lane, mine, register * width, registers * width)
        sums = [[[self.code.zero] * cell.sums for _ in range(registers)] for _ in lanes]
        if layer.inputs:
            weights = self._packed(self.input_weights, cell.from_inputs, layer.inputs, register)
            self._add(
                sums, cell.from_inputs, self._at(self.inputs, lanes, layer.inputs), weights, layer.inputs
            )
        weights = self._packed(self.recurrent, cell.from_hidden, units, register)
        self._add(sums, cell.from_hidden, self._at(self.outputs, lanes, units), weights, units)
        for lane, mine, found in zip(lanes, own, sums, strict=True):
            for i, values in enumerate(found):
                unit = (register + i) * width
                added = self._from_source(lane, unit)
                whole = [one + other for one, other in zip(values, added, strict=True)]
                self._apply(lane, mine, unit, whole)

    def _packed(self, weights: Place, fed: tuple[int, ...], length: int, register: Int) -> Place:
        """Where the weights of a tile begin."""
        return weights + register * (len(fed) * length // self.layer.kind.pair * self.code.width * WORD)

    def _at(self, values: Place, lanes: list[Int], length: int) -> list[Place]:
        return [values + lane * (length * self.layer.kind.size) for lane in lanes]

    def _add(
        self, sums: list[Sums], fed: tuple[int, ...], rows: list[Place], weights: Place, length: int
    ) -> None:
        """Add a product to the sums [lanes][registers][sums] that it feeds."""
        flat = [[register[block] for register in mine for block in fed] for mine in sums]
        found = product(self.code, self.layer.kind, flat, rows, weights, length // self.layer.kind.pair)
        for mine, row in zip(sums, found, strict=True):
            values = iter(row)
            for register in mine:
                for block in fed:
                    register[block] = next(values)

    def _source_row(self, lane: Int) -> Place:
        row = self.code.load_int(self.rows + lane * ROW)
        return self.source + row * (len(self.cell.from_inputs) * self.layer.units * WORD)

    def _from_source(self, lane: Int, unit: Int) -> list[Vector]:
        """What a lane's input adds to the sums of some units."""
        code, fed, row = self.code, self.cell.from_inputs, self._source_row(lane)
        return [
            code.load(row + (unit + fed.index(block) * self.layer.units) * WORD)
            if block in fed
            else code.load(self.bias + unit * WORD)
            for block in range(self.cell.sums)
        ]

    def _prefetch(self, lane: Int, mine: Int, unit: Int, count: int) -> None:
        code, cell, units, row = self.code, self.cell, self.layer.units, self._source_row(lane)
        for block in range(len(cell.from_inputs)):
            code.prefetch(row + (unit + block * units) * WORD, count * WORD)
        if cell.remembers:
            code.prefetch(self._memory(lane, mine, unit), count * WORD)
        for block in range(cell.sums if self.layer.learns else 0):
            place = self.kept + (lane * self.layer.wide + unit + block * units) * self.layer.kind.size
            code.prefetch(place, count * self.layer.kind.size, written=True)

    def _memory(self, lane: Int, mine: Int, unit: Int) -> Place:
        """Of a lane at this step, or where only one step's are there, of the lane."""
        return self.memories + ((lane if self.layer.learns else mine) * self.layer.units + unit) * WORD

    def _apply(self, lane: Int, mine: Int, unit: Int, sums: list[Vector]) -> None:
        """The cell of some units: what is kept for the way back, and what goes on to the next step."""
        code, cell, units, kind = self.code, self.cell, self.layer.units, self.layer.kind
        memory, following = self._memory(lane, mine, unit), lane + self.window.lanes
        before = code.load(memory) if cell.remembers else code.zero
        kept, hidden, after = cell.forward(tuple(sums), before, self.layer.exact)
        for block, value in enumerate(kept if self.layer.learns else ()):
            code.store(self.kept + (lane * self.layer.wide + unit + block * units) * kind.size, value, kind)
        code.store(self.outputs + (following * units + unit) * kind.size, hidden, kind)
        if cell.remembers:
            code.store(memory + self.window.lanes * (units * WORD) if self.layer.learns else memory, after)


class BackwardSweep:
    """The kernel `backward`(window, recurrent weights, memories, kept, above, carried): where what a step's cells were
    is kept, the gradients of its sums are left. `above` are gradients of the outputs."""

    ARGUMENTS = Window.ARGUMENTS + 5

    def __init__(self, processor: Processor, layer: Layer) -> None:
        self.layer, self.cell = layer, layer.cell
        self.code = Code(processor, self.ARGUMENTS)
        self.window = Window(self.code, layer.sizes)
        places = [self.code.place(address) for address in self.code.arguments[Window.ARGUMENTS :]]
        self.recurrent, self.memories, self.kept, self.above, self.carried = places

    def text(self) -> str:
        """All of it as LLVM reads it."""
        self.code.loop(self.window.steps, self._step)
        return self.code.finish()

    def _step(self, back: Int) -> None:
        here = (self.window.steps - 1 - back) * self.window.lanes

        def tile(register: Int, registers: int) -> None:
            self.window.each_block(
                lambda first, count: self._block(
                    back, here, [first + i for i in range(count)], register, registers
                )
            )

        each_tile(self.code, self.layer.units, COLUMNS, tile)

    def _block(self, back: Int, here: Int, lanes: list[Int], register: Int, registers: int) -> None:
        """Some lanes at a step, and some units: from the sums of the step after to their own."""
        code, layer, kind, width = self.code, self.layer, self.layer.kind, self.code.width
        for lane in lanes:
            self._prefetch(here + lane, lane, register * width, registers * width)
        after = [self.kept + (here + self.window.lanes + lane) * (layer.wide * kind.size) for lane in lanes]
        again = back.least(1)  # after the last step there is nothing to come back from
        sums = [[code.zero] * registers for _ in lanes]
        terms = contiguous(self.cell.from_hidden, layer.units)
        sums = through(code, kind, sums, after, self.recurrent, terms, register, again)
        for lane, mine in zip(lanes, sums, strict=True):
            for i, gradient in enumerate(mine):
                self._apply(here + lane, lane, (register + i) * width, gradient)

    def _prefetch(self, at: Int, lane: Int, unit: Int, count: int) -> None:
        code, cell, units, size = self.code, self.cell, self.layer.units, self.layer.kind.size
        code.prefetch(self.above + (at * units + unit) * size, count * size)
        for block in range(cell.sums):
            place = self.kept + (at * self.layer.wide + unit + block * units) * size
            code.prefetch(place, count * size, written=True)
        if cell.remembers:
            code.prefetch(self.carried + (lane * units + unit) * WORD, count * WORD, written=True)
            for when in (at, at + self.window.lanes):
                code.prefetch(self.memories + (when * units + unit) * WORD, count * WORD)

    def _apply(self, at: Int, lane: Int, unit: Int, gradient: Vector) -> None:
        """The way back through the cell of some units."""
        code, cell, units, kind = self.code, self.cell, self.layer.units, self.layer.kind
        gradient = gradient + code.load(self.above + (at * units + unit) * kind.size, kind)
        kept = [
            self.kept + (at * self.layer.wide + unit + block * units) * kind.size
            for block in range(cell.sums)
        ]
        carried = self.carried + (lane * units + unit) * WORD
        before = after = carry = code.zero
        if cell.remembers:
            memory = self.memories + (at * units + unit) * WORD
            before, after = code.load(memory), code.load(memory + self.window.lanes * (units * WORD))
            carry = code.load(carried)
        values = tuple(code.load(place, kind) for place in kept)
        found, carry = cell.backward(values, before, after, gradient, carry, self.layer.exact)
        for place, value in zip(kept, found, strict=True):
            code.store(place, value, kind)
        if cell.remembers:
            code.store(carried, carry)


class Through:
    """The kernel `through`(window, of sums, weights, of inputs): of inputs [rows, inputs] = (blocks of (of sums [rows,
    wide])) @ weights, which is what comes back to a product's inputs. Blocks are of `units` numbers."""

    ARGUMENTS = Window.ARGUMENTS + 3

    def __init__(
        self,
        processor: Processor,
        kind: Kind,
        wide: int,
        blocks: tuple[int, ...],
        units: int,
        inputs: int,
        sizes: tuple[int, ...],
    ) -> None:
        self.code = Code(processor, self.ARGUMENTS)
        self.window = Window(self.code, sizes)
        self.kind, self.wide, self.inputs = kind, wide, inputs
        self.terms = contiguous(blocks, units)
        self.sums, self.weights, self.out = map(self.code.place, self.code.arguments[Window.ARGUMENTS :])

    def text(self) -> str:
        """All of it as LLVM reads it."""
        each_tile(
            self.code,
            self.inputs,
            COLUMNS,
            lambda register, registers: self.window.each_step_and_block(
                lambda rows: self._block(rows, register, registers)
            ),
        )
        return self.code.finish()

    def _block(self, rows: list[Int], register: Int, registers: int) -> None:
        code, kind = self.code, self.kind
        sums = [[code.zero] * registers for _ in rows]
        places = [self.sums + row * (self.wide * kind.size) for row in rows]
        sums = through(code, kind, sums, places, self.weights, self.terms, register)
        for row, mine in zip(rows, sums, strict=True):
            for i, value in enumerate(mine):
                column = (register + i) * code.width
                code.store(self.out + (row * self.inputs + column) * kind.size, value, kind)


def through(
    code: Code,
    kind: Kind,
    sums: Sums,
    rows: list[Place],
    weights: Place,
    terms: list[tuple[int, int]],
    register: Int,
    times: Int | int = 1,
) -> Sums:
    """sums + some stretches of the rows @ the weights of the tile at a register; `times` is 1, or 0 to add nothing."""
    registers = len(sums[0])
    weights = weights + register * (sum(length for _, length in terms) // kind.pair * code.width * WORD)
    for first, length in terms:
        words = length // kind.pair
        starts = [row + first * kind.size for row in rows]
        sums = product(code, kind, sums, starts, weights, times * words)
        weights = weights + words * registers * code.width * WORD
    return sums


def contiguous(blocks: tuple[int, ...], units: int) -> list[tuple[int, int]]:
    """First number and length of each stretch of neighbouring blocks."""
    found: list[tuple[int, int]] = []
    for block in blocks:
        if found and sum(found[-1]) == block * units:
            found[-1] = (found[-1][0], found[-1][1] + units)
        else:
            found.append((block * units, units))
    return found
