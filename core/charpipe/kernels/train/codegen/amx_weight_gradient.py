"""Gradients of weights by AMX: sums over all rows of a window at once."""

from __future__ import annotations

from charpipe.kernels.jit.amx import ROW_BYTES, TILE_WORDS
from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import WORD, DType, Int, Pointer, Vector, transpose
from charpipe.kernels.train.codegen.amx_product import AmxProduct, Term
from charpipe.kernels.train.codegen.tiles import TILE_COLUMNS, each_tile

AMX_PANEL = 32
"""Rows of weights in a panel: two tiles, so that each tile of inputs is loaded once for both."""
AMX_ROWS_AT_ONCE = 256
"""Rows of a window summed in tiles before the gradient is written: the panel's 16 KB stay in the first cache, and so
many rows of grad_pre, of which each panel reads a line, in the second."""
PREFETCH_PANELS = 2
"""How many panels ahead grad_pre is prefetched: the hardware prefetcher does not predict lines that are rows apart."""
STEP_ROWS = 32
"""Rows of a window that one instruction multiplies, 16 pairs."""
PANEL_STRIDE = AMX_ROWS_AT_ONCE // 2 * WORD + ROW_BYTES
"""Bytes from one row of the packed panel to the next: no power of two, so that rows do not compete for cache sets."""


class AmxWeightGradient:
    """The kernel of `WeightGradient` by AMX, with the same arguments: gradient += grad_pre.T @ inputs, of gradient
    float32 [32 * panels, inputs].

    Inputs are packed as words [pair of window rows][column]. The left factor is grad_pre.T: its tiles hold the words of
    each column of grad_pre side by side, so that these are transposed when they are packed.
    """

    ARGUMENTS = 8

    def __init__(
        self, processor: Processor, dtype: DType, stride: int, inputs: int, rows_at_once: int
    ) -> None:
        self.builder = KernelBuilder(processor, self.ARGUMENTS)
        self.dtype, self.stride, self.columns, self.rows_at_once = dtype, stride, inputs, rows_at_once
        self.rows, self.panels, _, *addresses = self.builder.arguments
        pointers = [self.builder.pointer(address) for address in addresses]
        self.grad_pre, self.inputs, self.gradient, self.panel_scratch, self.input_scratch = pointers
        self.product = AmxProduct(self.builder, AMX_PANEL)

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        count = (self.rows + (self.rows_at_once - 1)) // self.rows_at_once
        self.builder.loop(count, self._some_rows)
        self.product.release()
        return self.builder.finish()

    def _some_rows(self, block: Int) -> None:
        first = block * self.rows_at_once
        steps = ((self.rows - first).min(self.rows_at_once) + (STEP_ROWS - 1)) // STEP_ROWS
        each_tile(
            self.builder, self.columns, TILE_COLUMNS, lambda *tile: self._pack_inputs(first, steps, *tile)
        )
        self.builder.loop(self.panels, lambda panel: self._panel(panel * AMX_PANEL, first, steps))

    def _packed_inputs(self, register: Int) -> Pointer:
        """Where the packed inputs of a tile begin."""
        return self.input_scratch + register * (self.rows_at_once // self.dtype.per_word * ROW_BYTES)

    def _pack_inputs(self, first: Int, steps: Int, register: Int, registers: int) -> None:
        builder, to = self.builder, self._packed_inputs(register)

        def word(k: Int) -> None:
            for i in range(registers):
                column = (register + i) * builder.width
                words = builder.pack_words(self._pair(self.inputs, self.columns, first, k, column))
                builder.store_words(to + (k * registers + i) * ROW_BYTES, words)

        builder.loop(steps * TILE_WORDS, word)

    def _pair(self, values: Pointer, stride: int, first: Int, k: Int, column: Int) -> list[Vector]:
        """Some columns of the pair `k` of rows; beyond the last row they repeat it."""
        rows = [(first + (k * 2 + i)).min(self.rows - 1) for i in range(2)]
        return [
            self.builder.load(values + (row * stride + column) * self.dtype.size, self.dtype) for row in rows
        ]

    def _panel(self, weight_row: Int, first: Int, steps: Int) -> None:
        """Some rows of weights: their columns of grad_pre are packed, then every tile of the gradient is added to."""
        for half in range(AMX_PANEL // TILE_WORDS):
            at = half * TILE_WORDS
            self.builder.loop(steps, lambda step, at=at: self._pack_panel(weight_row, at, first, step))

        def tile(register: Int, registers: int) -> None:
            columns, words = tuple(range(registers)), steps * TILE_WORDS
            inputs = self._packed_inputs(register)
            term = Term(self.panel_scratch, PANEL_STRIDE, inputs, registers, words, columns)
            target = self.gradient + (weight_row * self.columns + register * self.builder.width) * WORD
            stride = self.columns * WORD
            self.product.sums([term], registers, target, stride, start=(target, stride))

        each_tile(self.builder, self.columns, TILE_COLUMNS, tile)

    def _prefetch(self, column: Int, first: Int) -> None:
        """The columns of a panel to come, of the rows that one instruction multiplies."""
        for i in range(STEP_ROWS):
            row = (first + i).min(self.rows - 1)
            place = self.grad_pre + (row * self.stride + column) * self.dtype.size
            self.builder.prefetch(place, AMX_PANEL * self.dtype.size)

    def _pack_panel(self, weight_row: Int, at: int, first: Int, step: Int) -> None:
        """16 rows of weights from `at` on in the panel, and 16 pairs of rows of a window: a tile, transposed. Rows
        beyond the last are zero, which is enough for one factor of a product."""
        builder, words = self.builder, []
        if not at:
            self._prefetch(weight_row + PREFETCH_PANELS * AMX_PANEL, first + step * STEP_ROWS)
        for i in range(TILE_WORDS):
            k = step * TILE_WORDS + i
            parts = self._pair(self.grad_pre, self.stride, first, k, weight_row + at)
            inside = [builder.one_if_less(first + (k * 2 + part), self.rows) for part in range(2)]
            pair = builder.pack_words([part * one for part, one in zip(parts, inside, strict=True)])
            words.append(Vector(builder.builder, builder.builder.bitcast(pair, builder.floats)))
        for row, values in enumerate(transpose(words)):
            to = self.panel_scratch + (step * ROW_BYTES + (at + row) * PANEL_STRIDE)
            builder.store_words(to, values.bits())
