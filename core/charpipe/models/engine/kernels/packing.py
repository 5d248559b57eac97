"""Weights laid out as tiles read them: for each word of the rows that are multiplied, a register of each column.

A word is a float32 or the pair of bfloat16 that one instruction multiplies.
"""

from __future__ import annotations

from charpipe.models.engine.kernels.code import WORD, Code, Int, Kind
from charpipe.models.engine.kernels.tiles import COLUMNS, each_tile
from charpipe.models.processor import Processor


class PackRows:
    """The kernel `pack`(weights, packed, part, parts): of weights float32 [gates, units, length], which multiply rows
    of `length` numbers, all gates of a unit side by side in a tile; of each tile's words one part of so many."""

    ARGUMENTS = 4

    def __init__(self, processor: Processor, kind: Kind, gates: int, units: int, length: int) -> None:
        self.code = Code(processor, self.ARGUMENTS)
        self.kind, self.gates, self.units, self.length = kind, gates, units, length
        weights, packed, self.part, self.parts = self.code.arguments
        self.weights, self.packed = self.code.place(weights), self.code.place(packed)

    def text(self) -> str:
        """All of it as LLVM reads it."""
        each_tile(self.code, self.units, max(1, COLUMNS // self.gates), self._tile)
        return self.code.finish()

    def _tile(self, register: Int, registers: int) -> None:
        code, words = self.code, self.length // self.kind.pair
        columns = registers * self.gates
        here = self.packed + register * (self.gates * words * code.width * WORD)

        def some(i: Int) -> None:
            """As many numbers of each row as a register holds."""
            turn = first + i
            for column in range(columns):
                place, gate = divmod(column, self.gates)
                row = (register + place) * code.width + gate * self.units
                start = self.weights + (row * self.length + turn * code.width) * WORD
                numbers = code.turned_over(
                    [code.load(start + i * (self.length * WORD)) for i in range(code.width)]
                )
                for k in range(0, code.width, self.kind.pair):
                    word = (turn * code.width + k) // self.kind.pair
                    to = here + (word * columns + column) * (code.width * WORD)
                    code.store_packed(to, code.word(numbers[k : k + self.kind.pair]))

        turns = self.length // code.width
        first, end = (code.quotient((self.part + i) * turns, self.parts) for i in (0, 1))
        code.loop(end - first, some)


class PackColumns:
    """The kernel `pack`(weights, packed): of weights float32 [rows, columns], which multiply rows of `rows` numbers."""

    ARGUMENTS = 2

    def __init__(self, processor: Processor, kind: Kind, rows: int, columns: int) -> None:
        self.code = Code(processor, self.ARGUMENTS)
        self.kind, self.rows, self.columns = kind, rows, columns
        self.weights, self.packed = map(self.code.place, self.code.arguments)

    def text(self) -> str:
        """All of it as LLVM reads it."""
        each_tile(self.code, self.columns, COLUMNS, self._tile)
        return self.code.finish()

    def _tile(self, register: Int, registers: int) -> None:
        code, kind, words = self.code, self.kind, self.rows // self.kind.pair
        here = self.packed + register * (words * code.width * WORD)

        def word(k: Int) -> None:
            for place in range(registers):
                start = (
                    self.weights + (k * (kind.pair * self.columns) + (register + place) * code.width) * WORD
                )
                parts = [code.load(start + i * (self.columns * WORD)) for i in range(kind.pair)]
                code.store_packed(here + (k * registers + place) * (code.width * WORD), code.word(parts))

        code.loop(words, word)
