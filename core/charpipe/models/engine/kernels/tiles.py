"""Products in registers: a few lanes times a few registers of columns, summed up without touching memory.

Weights are laid out beforehand (packing.py) so that a tile reads them from front to back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from charpipe.models.engine.kernels.code import WORD, Code, Int, Kind, Place, Vector
from charpipe.models.processor import Processor

COLUMNS = 4
"""Registers of columns in a tile."""
ROW = 8
"""Bytes of the number of a row."""
UNIT = 16
"""What numbers of units are rounded up to."""
UNROLLED = 2
"""Words of a row that one turn of the innermost loop takes."""

Sums = list[list[Vector]]
"""[lanes][registers of columns]"""


def lanes_in_tile(processor: Processor) -> int:
    """Lanes whose sums fit into the registers, with room for weights: 6, or 3."""
    return 6 if processor.registers >= 32 else 3


@dataclass(frozen=True)
class Stretch:
    """`count` tiles of so many `registers`, from register `first` on."""

    first: int
    count: int
    registers: int


def stretches(size: int, width: int, most: int = COLUMNS) -> Iterator[Stretch]:
    """`size` numbers in registers of `width`, as tiles of `most` registers and one of the rest."""
    full, rest = divmod(size // width, most)
    if full:
        yield Stretch(0, full, most)
    if rest:
        yield Stretch(full * most, 1, rest)


def each_tile(code: Code, size: int, most: int, body: Callable[[Int, int], None]) -> None:
    """`body(first register, registers)` for each tile of `size` numbers."""
    for stretch in stretches(size, code.width, most):

        def at(tile: Int, stretch: Stretch = stretch) -> None:
            body(tile * stretch.registers + stretch.first, stretch.registers)

        code.loop(stretch.count, at)


@dataclass(frozen=True)
class Blocks:
    """So many lanes as blocks of nearly equal size: `many` of `size`, then `more` of one less."""

    size: int
    many: int
    more: int

    @classmethod
    def of(cls, lanes: int, most: int) -> Blocks:
        """As few as hold all lanes."""
        count = -(-lanes // most)
        size = -(-lanes // count)
        more = count * size - lanes
        return cls(size, count - more, more)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Those that occur: what code is made for."""
        return (self.size, self.size - 1) if self.more else (self.size,)

    @property
    def counts(self) -> tuple[int, int]:
        """How many there are of each size."""
        return self.many, self.more


class Window:
    """Which lanes and steps a kernel works on: the first four of its arguments are `steps`, all `lanes`, and how many
    blocks there are of each of the two `sizes`; addresses are those of the first lane of its own."""

    ARGUMENTS = 4

    def __init__(self, code: Code, sizes: tuple[int, ...]) -> None:
        self.code, self.sizes = code, sizes
        self.steps, self.lanes, *self.counts = code.arguments[: self.ARGUMENTS]

    def each_block(self, body: Callable[[Int, int], None]) -> None:
        """`body(first lane, lanes)` for each block of a step."""
        first: Int | int = 0
        for size, count in zip(self.sizes, self.counts, strict=False):

            def at(block: Int, size: int = size, first: Int | int = first) -> None:
                body(block * size + first, size)

            self.code.loop(count, at)
            first = count * size

    def each_step_and_block(self, body: Callable[[list[Int]], None]) -> None:
        """`body(rows)` for each block of each step, rows being numbered through the whole window."""

        def step(t: Int) -> None:
            here = t * self.lanes
            self.each_block(lambda first, count: body([here + (first + i) for i in range(count)]))

        self.code.loop(self.steps, step)


def product(
    code: Code,
    kind: Kind,
    sums: Sums,
    rows: Sequence[Place],
    weights: Place,
    words: int | Int,
    apart: int = WORD,
) -> Sums:
    """sums + rows [lanes][words] @ weights, packed [words, registers]; `words` are an even number, those of a row so
    many bytes apart."""
    columns = len(sums[0])
    register = WORD * code.width
    turns = words // UNROLLED

    def turn(k: Int, *flat: Vector) -> list[Vector]:
        now = list(flat)
        for part in range(UNROLLED):
            here = weights + k * (UNROLLED * columns * register) + part * columns * register
            values = (code.spread(row + k * (UNROLLED * apart) + part * apart) for row in rows)
            loaded = (code.load_packed(here + column * register) for column in range(columns))
            for lane, column, value, weight in _in_few_registers(values, loaded, len(rows), columns):
                place = lane * columns + column
                now[place] = code.multiply_add(kind, now[place], value, weight)
        return now

    flat = code.loop(turns, turn, [total for mine in sums for total in mine])
    return [flat[lane * columns : (lane + 1) * columns] for lane in range(len(rows))]


def _in_few_registers(
    values: Iterator[Vector], weights: Iterator[Vector], lanes: int, columns: int
) -> Iterator[tuple[int, int, Vector, Vector]]:
    """Each lane and column with what is multiplied: there are as many registers of one kind as there are fewer of, and
    one of the other at a time."""
    if lanes < columns:
        held = list(values)
        for column, weight in enumerate(weights):
            yield from ((lane, column, value, weight) for lane, value in enumerate(held))
    else:
        held = list(weights)
        for lane, value in enumerate(values):
            yield from ((lane, column, value, weight) for column, weight in enumerate(held))
