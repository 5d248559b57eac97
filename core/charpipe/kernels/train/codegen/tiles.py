"""Tiles: products whose sums stay in vector registers, of a few rows times a few registers of columns.

Weights are packed beforehand (packing.py) so that a tile reads them from front to back. ../../README.md has a diagram.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import WORD, DType, Int, Pointer, Vector
from charpipe.kernels.train.codegen.amx_product import uses_amx

TILE_COLUMNS = 4
"""Registers of columns in a tile."""
INDEX = 8
"""Bytes of an index, int64."""
PADDING_MULTIPLE = 16
"""Numbers of units, inputs and tokens are padded to a multiple of this: the width of the widest register."""
UNROLL = 2
"""Words of a row that one turn of the innermost loop multiplies."""

Accumulators = list[list[Vector]]
"""[rows][registers of columns]"""


AMX_PADDING_MULTIPLE = 32
"""The same where AMX multiplies: the pairs of bfloat16 in a row of its tiles."""
AMX_BLOCK_ROWS = 32
"""Rows of a block there: two tiles of 16."""


def tile_rows(processor: Processor) -> int:
    """Rows of a tile: 6, or 3 with 16 registers, so that its accumulators, 4 of weights and one of the row fit."""
    return 6 if processor.registers >= 32 else 3


def block_rows(processor: Processor, dtype: DType) -> int:
    """The most rows of a block: those of a tile, or of two of AMX's."""
    return AMX_BLOCK_ROWS if uses_amx(processor, dtype) else tile_rows(processor)


def padding_multiple(processor: Processor, dtype: DType) -> int:
    """What numbers of units, inputs and tokens are padded to a multiple of."""
    return AMX_PADDING_MULTIPLE if uses_amx(processor, dtype) else PADDING_MULTIPLE


@dataclass(frozen=True)
class TileRun:
    """`count` adjacent tiles of `registers` registers each; the first begins at register `first`."""

    first: int
    count: int
    registers: int


def tile_runs(size: int, width: int, most: int = TILE_COLUMNS) -> Iterator[TileRun]:
    """`size` columns in registers of `width`: as many tiles of `most` registers as possible, and one of the rest."""
    full, rest = divmod(size // width, most)
    if full:
        yield TileRun(0, full, most)
    if rest:
        yield TileRun(full * most, 1, rest)


def each_tile(builder: KernelBuilder, size: int, most: int, body: Callable[[Int, int], None]) -> None:
    """`body(first register, registers)` for each tile of `size` columns."""
    for run in tile_runs(size, builder.width, most):

        def at(tile: Int, run: TileRun = run) -> None:
            body(tile * run.registers + run.first, run.registers)

        builder.loop(run.count, at)


@dataclass(frozen=True)
class RowBlocks:
    """Rows in blocks of nearly equal size, one a tile: `full` blocks of `size` rows, then `short` of one less."""

    size: int
    full: int
    short: int

    @classmethod
    def of(cls, rows: int, most: int) -> RowBlocks:
        """As few blocks of up to `most` rows as hold all of them."""
        count = -(-rows // most)
        size = -(-rows // count)
        short = count * size - rows
        return cls(size, count - short, short)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes that occur, for each of which a kernel has code."""
        return (self.size, self.size - 1) if self.short else (self.size,)

    @property
    def counts(self) -> tuple[int, int]:
        """The number of blocks of each size."""
        return self.full, self.short


class Window:
    """The rows of a window that a kernel works on: the streams of one shard of the batch at all steps.

    The kernel's first four arguments are T, B, and the number of blocks of each of the two `sizes`. All addresses are
    those of the shard's first stream at step 0.
    """

    ARGUMENTS = 4

    def __init__(self, builder: KernelBuilder, sizes: tuple[int, ...]) -> None:
        self.builder, self.sizes = builder, sizes
        self.steps, self.batch_size, *self.counts = builder.arguments[: self.ARGUMENTS]

    def each_block(self, body: Callable[[Int, int], None]) -> None:
        """`body(first stream, streams)` for each block of a step."""
        first: Int | int = 0
        for size, count in zip(self.sizes, self.counts, strict=False):

            def at(block: Int, size: int = size, first: Int | int = first) -> None:
                body(block * size + first, size)

            self.builder.loop(count, at)
            first = count * size

    def each_step_and_block(self, body: Callable[[list[Int]], None]) -> None:
        """`body(rows)` for each block of each step."""

        def step(t: Int) -> None:
            row = t * self.batch_size
            self.each_block(lambda first, count: body([row + (first + i) for i in range(count)]))

        self.builder.loop(self.steps, step)


def multiply_tile(
    builder: KernelBuilder,
    dtype: DType,
    accumulators: Accumulators,
    rows: Sequence[Pointer],
    weights: Pointer,
    words: int | Int,
    stride: int = WORD,
) -> Accumulators:
    """accumulators + rows [rows][words] @ weights, which are packed as [words][registers of columns].

    `words` is an even number; those of a row are `stride` bytes apart.
    """
    columns = len(accumulators[0])
    register = WORD * builder.width
    turns = words // UNROLL

    def turn(k: Int, *flat: Vector) -> list[Vector]:
        now = list(flat)
        for part in range(UNROLL):
            here = weights + k * (UNROLL * columns * register) + part * columns * register
            values = (
                builder.load_word_broadcast(row + k * (UNROLL * stride) + part * stride) for row in rows
            )
            loaded = (builder.load_words(here + column * register) for column in range(columns))
            for row, column, value, weight in _multiplications(values, loaded, len(rows), columns):
                index = row * columns + column
                now[index] = builder.multiply_add(dtype, now[index], value, weight)
        return now

    flat = builder.loop(turns, turn, [each for mine in accumulators for each in mine])
    return [flat[row * columns : (row + 1) * columns] for row in range(len(rows))]


def _multiplications(
    values: Iterator[Vector], weights: Iterator[Vector], rows: int, columns: int
) -> Iterator[tuple[int, int, Vector, Vector]]:
    """Each row and column of a tile with its two factors. The fewer factors are held in registers, and of the others
    one at a time is loaded: the accumulators leave few registers free."""
    if rows < columns:
        held = list(values)
        for column, weight in enumerate(weights):
            yield from ((row, column, value, weight) for row, value in enumerate(held))
    else:
        held = list(weights)
        for row, value in enumerate(values):
            yield from ((row, column, value, weight) for column, weight in enumerate(held))
