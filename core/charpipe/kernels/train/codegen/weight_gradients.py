"""Gradients of weights: sums over all rows of a window at once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import WORD, DType, Int, Pointer
from charpipe.kernels.train.codegen.amx_product import uses_amx
from charpipe.kernels.train.codegen.amx_weight_gradient import (
    AMX_PANEL,
    AMX_ROWS_AT_ONCE,
    AmxWeightGradient,
)
from charpipe.kernels.train.codegen.tiles import (
    INDEX,
    PADDING_MULTIPLE,
    TILE_COLUMNS,
    each_tile,
    multiply_tile,
    tile_rows,
)

PANEL = 48
"""Rows of weights in a panel: what is packed for them stays in the first cache."""
ROWS_AT_ONCE = 128
"""Rows of a window whose products a gradient sums in registers before it is written to memory."""
SMALL_TILE = 4
"""Rows of weights in a tile of a small panel, which has 16 rows."""


class WeightGradient:
    """The kernel `weight_gradient(rows, panels, small panels, grad_pre, inputs, gradient, panel scratch, input
    scratch)`: gradient += grad_pre.T @ inputs, of gradient float32 [48 * panels + 16 * small panels, inputs], grad_pre
    [rows, stride] and inputs [rows, inputs].

    The sum runs over the window's rows, `rows_at_once` at a time: as many are packed into the scratch memory, inputs
    once, and grad_pre one panel after the other, and then each tile of the gradient is added to.
    """

    ARGUMENTS = 8

    def __init__(
        self, processor: Processor, dtype: DType, stride: int, inputs: int, rows_at_once: int
    ) -> None:
        self.builder = KernelBuilder(processor, self.ARGUMENTS)
        self.dtype, self.stride, self.columns, self.rows_at_once = dtype, stride, inputs, rows_at_once
        self.rows, self.panels, self.small_panels, *addresses = self.builder.arguments
        pointers = [self.builder.pointer(address) for address in addresses]
        self.grad_pre, self.inputs, self.gradient, self.panel_scratch, self.input_scratch = pointers
        self.tile_rows = tile_rows(processor)

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        count = (self.rows + (self.rows_at_once - 1)) // self.rows_at_once
        self.builder.loop(count, self._some_rows)
        return self.builder.finish()

    def _some_rows(self, block: Int) -> None:
        builder, first = self.builder, block * self.rows_at_once
        # an even number of words, of one or two rows each: what tiles multiply in a turn
        pair = 2 * self.dtype.per_word
        words = (((self.rows - first).min(self.rows_at_once) + (pair - 1)) // pair) * 2

        def pack_inputs(register: Int, registers: int) -> None:
            scratch = self._packed_inputs(register)
            column = register * builder.width
            self._pack(self.inputs, self.columns, column, registers, first, words, scratch)

        each_tile(builder, self.columns, TILE_COLUMNS, pack_inputs)
        builder.loop(
            self.panels, lambda panel: self._panel(panel * PANEL, PANEL, self.tile_rows, first, words)
        )
        rest = self.panels * PANEL
        builder.loop(
            self.small_panels,
            lambda panel: self._panel(
                panel * PADDING_MULTIPLE + rest, PADDING_MULTIPLE, SMALL_TILE, first, words
            ),
        )

    def _packed_inputs(self, register: Int) -> Pointer:
        """Where the packed inputs of a tile begin."""
        words = self.rows_at_once // self.dtype.per_word
        return self.input_scratch + register * (words * self.builder.width * WORD)

    def _panel(self, weight_row: Int, size: int, tile_rows: int, first: Int, words: Int) -> None:
        """Some rows of weights: their columns of grad_pre are packed, then every tile is added to."""
        builder, width = self.builder, self.builder.width
        self._pack(
            self.grad_pre, self.stride, weight_row, size // width, first, words, self.panel_scratch, pad=True
        )
        blocks = size // tile_rows

        def tile(register: Int, registers: int) -> None:
            inputs = self._packed_inputs(register)

            def add(block: Int) -> None:
                self._prefetch_next(weight_row + size, first, register // TILE_COLUMNS * blocks + block)
                rows = [self.panel_scratch + (block * tile_rows + i) * WORD for i in range(tile_rows)]
                row = weight_row + block * tile_rows
                targets = [
                    self.gradient + ((row + i) * self.columns + register * width) * WORD
                    for i in range(tile_rows)
                ]
                for target in targets:
                    builder.prefetch(target, registers * width * WORD, write=True)
                zeros = [[builder.zero] * registers for _ in rows]
                found = multiply_tile(builder, self.dtype, zeros, rows, inputs, words, stride=size * WORD)
                for target, mine in zip(targets, found, strict=True):
                    for i, value in enumerate(mine):
                        here = target + i * (width * WORD)
                        builder.store(here, builder.load(here) + value)

            builder.loop(blocks, add)

        each_tile(builder, self.columns, TILE_COLUMNS, tile)

    def _prefetch_next(self, weight_row: Int, first: Int, turn: Int) -> None:
        """Prefetch a few rows of what the next panel packs; all turns of this panel together prefetch all of them."""
        turns = -(-self.columns // (TILE_COLUMNS * self.builder.width)) * (PANEL // self.tile_rows)
        rows = -(-self.rows_at_once // turns)
        for i in range(rows):
            row = first + turn * rows + i
            place = self.grad_pre + (row * self.stride + weight_row) * self.dtype.size
            self.builder.prefetch(place, PANEL * self.dtype.size)

    def _pack(
        self,
        values: Pointer,
        stride: int,
        column: Int,
        registers: int,
        first: Int,
        words: Int,
        scratch: Pointer,
        *,
        pad: bool = False,
    ) -> None:
        """Pack some columns of the rows from `first` on, one or two rows a word. With `pad`, rows beyond the last are
        zero; without it they repeat the last row, which is enough for one factor of a product."""
        builder, dtype = self.builder, self.dtype

        def word(k: Int) -> None:
            rows = [first + k * dtype.per_word + part for part in range(dtype.per_word)]
            starts = [values + (row.min(self.rows - 1) * stride + column) * dtype.size for row in rows]
            inside = [builder.one_if_less(row, self.rows) for row in rows] if pad else None
            for register in range(registers):
                offset = register * builder.width * dtype.size
                parts = [builder.load(start + offset, dtype) for start in starts]
                if inside is not None:
                    parts = [part * one for part, one in zip(parts, inside, strict=True)]
                to = scratch + (k * registers + register) * (builder.width * WORD)
                builder.store_words(to, builder.pack_words(parts))

        builder.loop(words, word)


@dataclass(frozen=True)
class GradientSum:
    """The class `kernel`, which sums gradients of weights, `panel` rows of weights and `rows_at_once` rows of a window
    at a time. That of AMX has no small panels: numbers of weights are multiples of its panel."""

    kernel: Hashable
    panel: int
    rows_at_once: int

    @classmethod
    def of(cls, processor: Processor, dtype: DType) -> GradientSum:
        """The one for products of this dtype."""
        if uses_amx(processor, dtype):
            return cls(AmxWeightGradient, AMX_PANEL, AMX_ROWS_AT_ONCE)
        return cls(WeightGradient, PANEL, ROWS_AT_ONCE)


class ScatterAdd:
    """The kernel `scatter_add(rows, registers, indices, values, table)`: table[indices[r]] += values[r], of some
    registers of columns of values [rows, stride] and table float32 [any, columns]. It is the gradient of a look-up."""

    ARGUMENTS = 5

    def __init__(self, processor: Processor, dtype: DType, stride: int, columns: int) -> None:
        self.builder = KernelBuilder(processor, self.ARGUMENTS)
        self.dtype, self.stride, self.columns = dtype, stride, columns
        self.rows, self.registers, *addresses = self.builder.arguments
        self.indices, self.values, self.table = (self.builder.pointer(address) for address in addresses)

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        builder, dtype, width = self.builder, self.dtype, self.builder.width

        def row(r: Int) -> None:
            target = self.table + builder.load_int(self.indices + r * INDEX) * (self.columns * WORD)
            source = self.values + r * (self.stride * dtype.size)

            def register(i: Int) -> None:
                here = target + i * (width * WORD)
                total = builder.load(here) + builder.load(source + i * (width * dtype.size), dtype)
                builder.store(here, total)

            builder.loop(self.registers, register)

        builder.loop(self.rows, row)
        return builder.finish()
