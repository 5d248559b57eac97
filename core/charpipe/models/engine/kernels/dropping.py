"""Dropout over a window, whose mask is a function of a seed and of the place: on the way back it is made again."""

from __future__ import annotations

from charpipe.models.engine.kernels.code import Code, Int, Kind
from charpipe.models.engine.kernels.tiles import Window
from charpipe.models.processor import Processor


class Drop:
    """The kernel `drop`(window, first lane, seed, values, out): values [rows, units] without a share of them, and the
    others larger by as much; out may be values. `locked`: each lane lacks the same units at every step."""

    ARGUMENTS = Window.ARGUMENTS + 4

    def __init__(
        self, processor: Processor, kind: Kind, units: int, share: float, locked: bool, sizes: tuple[int, ...]
    ) -> None:
        self.code = Code(processor, self.ARGUMENTS)
        self.kind, self.units, self.share, self.locked = kind, units, share, locked
        self.window = Window(self.code, sizes)
        self.first, self.seed, *addresses = self.code.arguments[Window.ARGUMENTS :]
        self.values, self.out = map(self.code.place, addresses)

    def text(self) -> str:
        """All of it as LLVM reads it."""
        self.code.loop(self.window.steps, self._step)
        return self.code.finish()

    def _step(self, t: Int) -> None:
        here = t * self.window.lanes

        def block(first: Int, count: int) -> None:
            for i in range(count):
                lane = first + i
                self._row(here + lane, lane + self.first if self.locked else here + lane + self.first)

        self.window.each_block(block)

    def _row(self, row: Int, number: Int) -> None:
        code, width, size = self.code, self.code.width, self.kind.size

        def register(i: Int) -> None:
            place = (row * self.units + i * width) * size
            mask = code.kept_at_random(number * self.units + i * width, self.seed, self.share)
            code.store(self.out + place, code.load(self.values + place, self.kind) * mask, self.kind)

        code.loop(self.units // width, register)
