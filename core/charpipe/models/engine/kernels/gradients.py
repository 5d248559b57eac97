"""Gradients of weights, summed over all lanes and steps of a window at once."""

from __future__ import annotations

from charpipe.models.engine.kernels.code import WORD, Code, Int, Kind, Place
from charpipe.models.engine.kernels.tiles import COLUMNS, ROW, UNIT, each_tile, lanes_in_tile, product
from charpipe.models.processor import Processor

PANEL = 48
"""Rows of weights that are worked on at a time: what is laid out for them stays in the first cache."""
REST = 4
"""Rows of weights in a tile of what panels leave over, a multiple of 16."""


class WeightGradient:
    """The kernel `gradient`(rows, panels, panels of 16, of sums, values, weights' gradient, room for sums, room for
    values): [48 * panels + 16 * more, inputs] float32 += (of sums [rows, wide]).T @ values [rows, inputs]."""

    ARGUMENTS = 8

    def __init__(self, processor: Processor, kind: Kind, wide: int, inputs: int, at_once: int) -> None:
        self.code = Code(processor, self.ARGUMENTS)
        self.kind, self.wide, self.inputs, self.at_once = kind, wide, inputs, at_once
        self.rows, self.panels, self.more, *addresses = self.code.arguments
        places = [self.code.place(address) for address in addresses]
        self.sums, self.values, self.gradient, self.panel_room, self.value_room = places
        self.in_tile = lanes_in_tile(processor)

    def text(self) -> str:
        self.code.loop((self.rows + (self.at_once - 1)) // self.at_once, self._some_rows)
        return self.code.finish()

    def _some_rows(self, block: Int) -> None:
        code, first = self.code, block * self.at_once
        pair = 2 * self.kind.pair
        words = (((self.rows - first).least(self.at_once) + (pair - 1)) // pair) * 2

        def lay_out_values(register: Int, registers: int) -> None:
            room = self.value_room + register * (self.at_once // self.kind.pair * code.width * WORD)
            column = register * code.width
            self._lay_out(self.values, self.inputs, column, registers, first, words, room)

        each_tile(code, self.inputs, COLUMNS, lay_out_values)
        code.loop(self.panels, lambda panel: self._panel(panel * PANEL, PANEL, self.in_tile, first, words))
        rest = self.panels * PANEL
        code.loop(self.more, lambda more: self._panel(more * UNIT + rest, UNIT, REST, first, words))

    def _panel(self, gate: Int, size: int, in_tile: int, first: Int, words: Int) -> None:
        """Some rows of weights: their sums' gradients are laid out, then every tile is added to."""
        code = self.code
        self._lay_out(self.sums, self.wide, gate, size // code.width, first, words, self.panel_room, end=True)

        blocks = size // in_tile

        def tile(register: Int, registers: int) -> None:
            values = self.value_room + register * (self.at_once // self.kind.pair * code.width * WORD)

            def some(block: Int) -> None:
                self._ask_for_more(gate + size, first, register // COLUMNS * blocks + block)
                rows = [self.panel_room + (block * in_tile + i) * WORD for i in range(in_tile)]
                row = gate + block * in_tile
                places = [
                    self.gradient + ((row + i) * self.inputs + register * code.width) * WORD
                    for i in range(in_tile)
                ]
                for place in places:
                    code.prefetch(place, registers * code.width * WORD, written=True)
                sums = [[code.zero] * registers for _ in rows]
                found = product(code, self.kind, sums, rows, values, words, apart=size * WORD)
                for place, mine in zip(places, found, strict=True):
                    for i, value in enumerate(mine):
                        here = place + i * (code.width * WORD)
                        code.store(here, code.load(here) + value)

            code.loop(blocks, some)

        each_tile(code, self.inputs, COLUMNS, tile)

    def _ask_for_more(self, gate: Int, first: Int, turn: Int) -> None:
        """Prefetch a few rows of what the next panel lays out, one turn after the other."""
        turns = -(-self.inputs // (COLUMNS * self.code.width)) * (PANEL // self.in_tile)
        at_a_time = -(-self.at_once // turns)
        for i in range(at_a_time):
            row = first + turn * at_a_time + i
            place = self.sums + (row * self.wide + gate) * self.kind.size
            self.code.prefetch(place, PANEL * self.kind.size)

    def _lay_out(
        self,
        values: Place,
        wide: int,
        column: Int,
        registers: int,
        first: Int,
        words: Int,
        room: Place,
        *,
        end: bool = False,
    ) -> None:
        """Some columns of some rows, pairs of rows as words; with `end`, zeros beyond the last row."""
        code, kind = self.code, self.kind

        def word(k: Int) -> None:
            rows = [first + k * kind.pair + part for part in range(kind.pair)]
            starts = [values + (row.least(self.rows - 1) * wide + column) * kind.size for row in rows]
            there = [code.one_below(row, self.rows) for row in rows] if end else None
            for register in range(registers):
                parts = [code.load(start + register * code.width * kind.size, kind) for start in starts]
                if there is not None:
                    parts = [part * one for part, one in zip(parts, there, strict=True)]
                code.store_packed(room + (k * registers + register) * (code.width * WORD), code.word(parts))

        code.loop(words, word)


class LookUpGradient:
    """The kernel `gradient`(rows, registers, numbers of rows, of sums, table's gradient): of sums [rows, wide], from a
    column on, added to the rows of the table [any, across] float32 that their inputs were."""

    ARGUMENTS = 5

    def __init__(self, processor: Processor, kind: Kind, wide: int, across: int) -> None:
        self.code = Code(processor, self.ARGUMENTS)
        self.kind, self.wide, self.across = kind, wide, across
        self.rows, self.registers, *addresses = self.code.arguments
        self.numbers, self.sums, self.table = (self.code.place(address) for address in addresses)

    def text(self) -> str:
        code, kind = self.code, self.kind

        def row(r: Int) -> None:
            into = self.table + code.load_int(self.numbers + r * ROW) * (self.across * WORD)
            source = self.sums + r * (self.wide * kind.size)

            def register(i: Int) -> None:
                place = into + i * (code.width * WORD)
                code.store(place, code.load(place) + code.load(source + i * (code.width * kind.size), kind))

            code.loop(self.registers, register)

        code.loop(self.rows, row)
        return code.finish()
