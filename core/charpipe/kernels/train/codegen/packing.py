"""Weights in the order in which tiles read them: for each word of the rows that they multiply, one register of each
column of the tile. ../../README.md has a diagram."""

from __future__ import annotations

from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import WORD, DType, Int, transpose
from charpipe.kernels.train.codegen.tiles import TILE_COLUMNS, each_tile


class PackRows:
    """The kernel `pack(weights, packed, part, parts)`: of weights float32 [gates, units, length], whose rows are
    multiplied with rows of `length` numbers (x @ weights.T). All gates of a unit are side by side in a tile. One call
    packs one of so many parts of each tile's words, so that threads can share the work. A tile has `registers`
    registers of units."""

    ARGUMENTS = 4

    def __init__(
        self, processor: Processor, dtype: DType, gates: int, units: int, length: int, registers: int
    ) -> None:
        self.builder = KernelBuilder(processor, self.ARGUMENTS)
        self.dtype, self.gates, self.units, self.length = dtype, gates, units, length
        self.registers = registers
        weights, packed, self.part, self.parts = self.builder.arguments
        self.weights, self.packed = self.builder.pointer(weights), self.builder.pointer(packed)

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        each_tile(self.builder, self.units, self.registers, self._tile)
        return self.builder.finish()

    def _tile(self, register: Int, registers: int) -> None:
        builder, dtype, width = self.builder, self.dtype, self.builder.width
        words = self.length // dtype.per_word
        columns = registers * self.gates
        tile = self.packed + register * (self.gates * words * width * WORD)

        def square(i: Int) -> None:
            """`width` rows of weights times `width` numbers of each, for each column of the tile."""
            turn = first + i
            for column in range(columns):
                place, gate = divmod(column, self.gates)
                row = (register + place) * width + gate * self.units
                start = self.weights + (row * self.length + turn * width) * WORD
                loaded = [builder.load(start + i * (self.length * WORD)) for i in range(width)]
                numbers = transpose(loaded)
                for k in range(0, width, dtype.per_word):
                    word = (turn * width + k) // dtype.per_word
                    to = tile + (word * columns + column) * (width * WORD)
                    builder.store_words(to, builder.pack_words(numbers[k : k + dtype.per_word]))

        turns = self.length // width
        first, end = (((self.part + i) * turns) // self.parts for i in (0, 1))
        builder.loop(end - first, square)


class PackColumns:
    """The kernel `pack(weights, packed)`: of weights float32 [rows, columns], whose columns are multiplied with rows of
    `rows` numbers (x @ weights)."""

    ARGUMENTS = 2

    def __init__(self, processor: Processor, dtype: DType, rows: int, columns: int) -> None:
        self.builder = KernelBuilder(processor, self.ARGUMENTS)
        self.dtype, self.rows, self.columns = dtype, rows, columns
        self.weights, self.packed = map(self.builder.pointer, self.builder.arguments)

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        each_tile(self.builder, self.columns, TILE_COLUMNS, self._tile)
        return self.builder.finish()

    def _tile(self, register: Int, registers: int) -> None:
        builder, dtype, width = self.builder, self.dtype, self.builder.width
        words = self.rows // dtype.per_word
        tile = self.packed + register * (words * width * WORD)

        def word(k: Int) -> None:
            for i in range(registers):
                start = self.weights + (k * (dtype.per_word * self.columns) + (register + i) * width) * WORD
                parts = [builder.load(start + row * (self.columns * WORD)) for row in range(dtype.per_word)]
                builder.store_words(tile + (k * registers + i) * (width * WORD), builder.pack_words(parts))

        builder.loop(words, word)
