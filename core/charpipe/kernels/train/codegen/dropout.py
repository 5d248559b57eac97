"""Dropout over a window. Its mask is a hash of a seed and an index: the backward pass computes it again."""

from __future__ import annotations

from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import DType, Int
from charpipe.kernels.train.codegen.tiles import Window


class Dropout:
    """The kernel `dropout(window, first stream, streams, seed, values, out)`: values [rows, units] times the dropout
    mask of probability `p`; out may be values. `locked`: a stream has the same mask at every step (variational
    dropout).

    The mask is that of stream `first stream` and those after it, of `streams` in the whole batch."""

    ARGUMENTS = Window.ARGUMENTS + 5

    def __init__(
        self, processor: Processor, dtype: DType, units: int, p: float, locked: bool, sizes: tuple[int, ...]
    ) -> None:
        self.builder = KernelBuilder(processor, self.ARGUMENTS)
        self.dtype, self.units, self.p, self.locked = dtype, units, p, locked
        self.window = Window(self.builder, sizes)
        self.first_stream, self.streams, self.seed, *addresses = self.builder.arguments[Window.ARGUMENTS :]
        self.values, self.out = map(self.builder.pointer, addresses)

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        self.builder.loop(self.window.steps, self._step)
        return self.builder.finish()

    def _step(self, t: Int) -> None:
        first_row = t * self.window.batch_size

        def block(first: Int, count: int) -> None:
            for i in range(count):
                stream = first + i
                # the mask's index counts all streams of the batch, not only those in this memory
                if self.locked:
                    self._row(first_row + stream, stream + self.first_stream)
                else:
                    self._row(first_row + stream, t * self.streams + stream + self.first_stream)

        self.window.each_block(block)

    def _row(self, row: Int, mask_row: Int) -> None:
        builder, width, size = self.builder, self.builder.width, self.dtype.size

        def register(i: Int) -> None:
            offset = (row * self.units + i * width) * size
            mask = builder.dropout_mask(mask_row * self.units + i * width, self.seed, self.p)
            builder.store(
                self.out + offset, builder.load(self.values + offset, self.dtype) * mask, self.dtype
            )

        builder.loop(self.units // width, register)
