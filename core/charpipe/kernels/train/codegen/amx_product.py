"""Products of a block of rows with packed weights by AMX: sums of tile registers, left in memory.

A block of up to 16 rows uses four tiles of sums side by side, one of up to 32 rows two above two, so that each tile of
weights is loaded once for both halves. Weights are packed as for vector registers of 16 words: a row of a tile of
weights is such a register. ../../README.md has a diagram.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from charpipe.kernels.jit.amx import ROW_BYTES, TILE_ROWS, TILE_WORDS, amx_of
from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import BFLOAT16, DType, Int, Pointer, Vector

SUMS = 4
"""Tiles of sums: numbers 0 to 3."""
LEFT, RIGHT = (4, 5), (6, 7)
"""The tiles of rows, one for each half of a block, and of weights, which take turns."""


def uses_amx(processor: Processor, dtype: DType) -> bool:
    """Whether products of this dtype are multiplied by AMX."""
    return processor.amx != "off" and dtype is BFLOAT16


@dataclass(frozen=True)
class Term:
    """One product of a sum: a block of rows, `stride` bytes apart, times weights packed as [words][registers].
    `columns` are the registers that belong to the columns of the sum, None where this product adds nothing."""

    rows: Pointer
    stride: int
    weights: Pointer
    registers: int
    words: int | Int
    columns: tuple[int | None, ...]


class AmxProduct:
    """The products of a kernel whose blocks have `rows` rows. Created before the kernel's first loop."""

    def __init__(self, builder: KernelBuilder, rows: int) -> None:
        self.builder, self.rows = builder, rows
        upper = -(-rows // -(-rows // TILE_ROWS))
        self.halves = (0,) if upper == rows else (0, upper)
        counts = (upper, rows - upper if len(self.halves) > 1 else upper)
        self.side_by_side = SUMS // len(self.halves)
        of_sums = [
            counts[tile // self.side_by_side] if len(self.halves) > 1 else upper for tile in range(SUMS)
        ]
        self.amx = amx_of(builder, [*of_sums, *counts, TILE_ROWS, TILE_ROWS])

    def sums(
        self,
        terms: Sequence[Term],
        columns: int,
        out: Pointer,
        stride: int,
        start: tuple[Pointer, int] | None = None,
    ) -> None:
        """out = start + the sum of the terms, float32 [rows][columns] in registers' widths, rows `stride` bytes apart.
        `start` has a stride of its own, which may be 0, and is zero without."""
        for first in range(0, columns, self.side_by_side):
            group = range(first, min(columns, first + self.side_by_side))
            for tile, half, column in self._tiles(group):
                if start is None:
                    self.amx.zero(tile)
                else:
                    self.amx.load(tile, start[0] + (half * start[1] + column * ROW_BYTES), start[1])
            for term in terms:
                self._add(term, group)
            for tile, half, column in self._tiles(group):
                self.amx.store(tile, out + (half * stride + column * ROW_BYTES), stride)

    def _tiles(self, group: range) -> Iterator[tuple[int, int, int]]:
        """The number of each tile of sums, the first row of its half, and its column."""
        for number, half in enumerate(self.halves):
            for place, column in enumerate(group):
                yield number * self.side_by_side + place, half, column

    def _add(self, term: Term, group: range) -> None:
        """Add the products of a term to some columns of the sums."""
        used = [(place, term.columns[column]) for place, column in enumerate(group)]
        fed = [(place, register) for place, register in used if register is not None]
        row_of_weights = term.registers * ROW_BYTES

        def turn(k: Int) -> None:
            for half, tile in zip(self.halves, LEFT, strict=False):
                self.amx.load(tile, term.rows + half * term.stride + k * ROW_BYTES, term.stride)
            for place, register in fed:
                weights, right = term.weights + k * (TILE_WORDS * row_of_weights), RIGHT[place % len(RIGHT)]
                self.amx.load(right, weights + register * ROW_BYTES, row_of_weights)
                for number, tile in enumerate(LEFT[: len(self.halves)]):
                    self.amx.multiply_add(number * self.side_by_side + place, tile, right)

        if fed:
            self.builder.loop(term.words // TILE_WORDS, turn)

    def release(self) -> None:
        """At the kernel's end."""
        self.amx.release()


def copy_row(builder: KernelBuilder, source: Pointer, target: Pointer, size: int) -> None:
    """Copy `size` bytes, a multiple of a tile's row. The rows of a tile load must be a constant stride apart."""

    def copy(place: Int) -> None:
        builder.store_words(target + place * ROW_BYTES, builder.load_words(source + place * ROW_BYTES))

    builder.loop(size // ROW_BYTES, copy)


def zero_where(builder: KernelBuilder, reset: Pointer, values: list[Vector]) -> list[Vector]:
    """Sums, or zeros where the integer at `reset` is 1: the stream starts from the zero state."""
    kept = builder.one_if_less(builder.load_int(reset), 1)
    return [builder.zero.less(kept).choose(value, builder.zero) for value in values]


class AmxSums:
    """Sums of a block in stack memory, float32 [rows][columns], from where a kernel loads the rows one by one."""

    def __init__(self, builder: KernelBuilder, rows: int, columns: int) -> None:
        self.builder, self.product = builder, AmxProduct(builder, rows)
        self.memory = builder.stack_memory(rows * columns * ROW_BYTES)

    def add_up(self, terms: Sequence[Term], columns: int) -> None:
        """Sum the terms of a block."""
        self.product.sums(terms, columns, self.memory, columns * ROW_BYTES)

    def load(self, row: Int, columns: int) -> list[Vector]:
        """The sums of a row of the block, of which there are so many."""
        place = self.memory + row * (columns * ROW_BYTES)
        return [self.builder.load(place + column * ROW_BYTES) for column in range(columns)]

    def surplus(self, count: int) -> int:
        """How many rows more than `count` are multiplied, because tiles are configured for the larger of a kernel's two
        sizes of blocks: the rows before it, whose sums are then ignored."""
        return self.product.rows - count

    def release(self) -> None:
        """At the kernel's end."""
        self.product.release()
