"""The softmax head of a window: scores, losses, and the gradient of the scores, which are never kept."""

from __future__ import annotations

from charpipe.models.engine.kernels.code import WORD, Code, Int, Kind, Place, Vector
from charpipe.models.engine.kernels.formulas import exp
from charpipe.models.engine.kernels.tiles import COLUMNS, ROW, Window, each_tile, product
from charpipe.models.processor import Processor

BEYOND = -1e30
"""The bias of columns that are no tokens."""


class Head:
    """The kernel `head`(window, hidden, weights, bias, targets, scale, room, of scores, losses).

    hidden [rows, units] @ weights + bias are the scores of `columns` tokens, a multiple of 16. Left behind are
    scale * the gradient of each row's loss [rows, columns], and losses float32 [2, rows]: the loss is
    the first + log(the second). The room holds a block's scores. One that does not `learn` leaves losses alone.
    """

    ARGUMENTS = Window.ARGUMENTS + 9

    def __init__(
        self,
        processor: Processor,
        kind: Kind,
        units: int,
        columns: int,
        sizes: tuple[int, ...],
        learns: bool = True,
    ) -> None:
        self.code = code = Code(processor, self.ARGUMENTS)
        self.kind, self.units, self.columns, self.learns = kind, units, columns, learns
        self.window = Window(code, sizes)
        places = [code.place(address) for address in code.arguments[Window.ARGUMENTS :]]
        self.hidden, self.weights, self.bias, self.targets, scale = places[:5]
        self.room, self.of_scores, self.losses, self.sums = places[5:]
        self.scale = code.load_one(scale)

    def text(self) -> str:
        """All of it as LLVM reads it."""
        self.window.each_step_and_block(self._block)
        return self.code.finish()

    def _block(self, rows: list[Int]) -> None:
        each_tile(
            self.code,
            self.columns,
            COLUMNS,
            lambda register, registers: self._scores(rows, register, registers),
        )
        for place, row in enumerate(rows):
            self._row(row, self.room + place * self.columns * WORD)

    def _scores(self, rows: list[Int], register: Int, registers: int) -> None:
        code, width, kind = self.code, self.code.width, self.kind
        bias = [code.load(self.bias + (register + i) * (width * WORD)) for i in range(registers)]
        hidden = [self.hidden + row * (self.units * kind.size) for row in rows]
        words = self.units // kind.pair
        weights = self.weights + register * (words * width * WORD)
        found = product(code, kind, [bias for _ in rows], hidden, weights, words)
        for place, mine in enumerate(found):
            for i, value in enumerate(mine):
                column = (register + i) * width + place * self.columns
                code.store(self.room + column * WORD, value)

    def _row(self, row: Int, scores: Place) -> None:
        """From the scores of a row to its loss and their gradient."""
        code, width, kind = self.code, self.code.width, self.kind
        target = code.load_int(self.targets + row * ROW)
        count = self.columns // width

        (largest,) = code.loop(
            count,
            lambda i, most: [most.greatest(code.load(scores + i * (width * WORD)))],
            [code.vector(BEYOND)],
        )
        largest = largest.across(Vector.greatest)
        wanted = code.load_one(scores + target * WORD)

        def spread(i: Int, total: Vector) -> list[Vector]:
            place = scores + i * (width * WORD)
            value = exp(code.load(place) - largest)
            code.store(place, value)
            return [total + value]

        (total,) = code.loop(count, spread, [code.zero])
        total = total.across(Vector.__add__)
        share = self.scale / total

        def gradient(i: Int) -> None:
            right = code.where_equal(i * width, target)
            value = code.load(scores + i * (width * WORD)) * share - right * self.scale
            code.store(self.of_scores + (row * self.columns + i * width) * kind.size, value, kind)

        code.loop(count if self.learns else 0, gradient)
        code.store_one(self.losses + row * WORD, (largest - wanted).first())
        code.store_one(self.sums + row * WORD, total.first())
