"""Products of gradients with the columns of weights, which lead from a product's sums back to its inputs."""

from __future__ import annotations

from charpipe.kernels.jit.amx import ROW_BYTES
from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import WORD, DType, Int, Pointer, Vector
from charpipe.kernels.train.codegen.amx_product import AmxSums, Term, uses_amx
from charpipe.kernels.train.codegen.tiles import (
    TILE_COLUMNS,
    Accumulators,
    Window,
    each_tile,
    multiply_tile,
)


class InputGradient:
    """The kernel `input_gradient(window, grad_pre, weights, grad_inputs)`: grad_inputs [rows, inputs] = grad_pre @
    weights, of a window's rows. Only the blocks `blocks` of `block_size` numbers of each row of grad_pre, `stride`
    numbers apart, belong to the product."""

    ARGUMENTS = Window.ARGUMENTS + 3

    def __init__(
        self,
        processor: Processor,
        dtype: DType,
        stride: int,
        blocks: tuple[int, ...],
        block_size: int,
        inputs: int,
        sizes: tuple[int, ...],
    ) -> None:
        self.builder = KernelBuilder(processor, self.ARGUMENTS)
        self.window = Window(self.builder, sizes)
        self.dtype, self.stride, self.inputs = dtype, stride, inputs
        self.spans = adjacent_spans(blocks, block_size)
        addresses = self.builder.arguments[Window.ARGUMENTS :]
        self.grad_pre, self.weights, self.grad_inputs = map(self.builder.pointer, addresses)
        amx = uses_amx(processor, dtype)
        self.amx_sums = AmxSums(self.builder, sizes[0], TILE_COLUMNS) if amx else None

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        each_tile(
            self.builder,
            self.inputs,
            TILE_COLUMNS,
            lambda register, registers: self.window.each_step_and_block(
                lambda rows: self._block(rows, register, registers)
            ),
        )
        if self.amx_sums is not None:
            self.amx_sums.release()
        return self.builder.finish()

    def _block(self, rows: list[Int], register: Int, registers: int) -> None:
        if self.amx_sums is None:
            self._tile(rows, register, registers)
        else:
            self._amx_tile(self.amx_sums, rows, register, registers)

    def _amx_tile(self, sums: AmxSums, rows: list[Int], register: Int, registers: int) -> None:
        builder, stride, surplus = self.builder, self.stride * self.dtype.size, sums.surplus(len(rows))
        source = self.grad_pre + (rows[0] - surplus) * stride
        sums.add_up(
            span_terms(self.dtype, source, stride, self.weights, self.spans, register, registers), registers
        )
        builder.loop(
            len(rows), lambda i: self._store(rows[0] + i, register, sums.load(i + surplus, registers))
        )

    def _tile(self, rows: list[Int], register: Int, registers: int) -> None:
        builder, dtype = self.builder, self.dtype
        accumulators = [[builder.zero] * registers for _ in rows]
        sources = [self.grad_pre + row * (self.stride * dtype.size) for row in rows]
        found = add_product(builder, dtype, accumulators, sources, self.weights, self.spans, register)
        for row, mine in zip(rows, found, strict=True):
            self._store(row, register, mine)

    def _store(self, row: Int, register: Int, values: list[Vector]) -> None:
        """Store some columns of a row of the gradient."""
        builder, dtype = self.builder, self.dtype
        for i, value in enumerate(values):
            column = (register + i) * builder.width
            builder.store(self.grad_inputs + (row * self.inputs + column) * dtype.size, value, dtype)


def add_product(
    builder: KernelBuilder,
    dtype: DType,
    accumulators: Accumulators,
    rows: list[Pointer],
    weights: Pointer,
    spans: list[tuple[int, int]],
    register: Int,
    times: Int | int = 1,
) -> Accumulators:
    """accumulators + some spans of the rows @ the packed weights of the tile at a register. `times` is 1, or 0, which
    adds nothing without a branch."""
    registers = len(accumulators[0])
    words = sum(length for _, length in spans) // dtype.per_word
    weights = weights + register * (words * builder.width * WORD)
    for first, length in spans:
        words = length // dtype.per_word
        starts = [row + first * dtype.size for row in rows]
        accumulators = multiply_tile(builder, dtype, accumulators, starts, weights, times * words)
        weights = weights + words * registers * builder.width * WORD
    return accumulators


def span_terms(
    dtype: DType,
    rows: Pointer,
    stride: int,
    weights: Pointer,
    spans: list[tuple[int, int]],
    register: Int,
    registers: int,
    times: Int | int = 1,
) -> list[Term]:
    """What `add_product` adds, as terms of a sum by AMX, of a block of rows `stride` bytes apart."""
    row_of_weights = registers * ROW_BYTES
    weights = weights + register * (sum(length for _, length in spans) // dtype.per_word * ROW_BYTES)
    terms = []
    for first, length in spans:
        words = length // dtype.per_word
        columns = tuple(range(registers))
        terms.append(Term(rows + first * dtype.size, stride, weights, registers, times * words, columns))
        weights = weights + words * row_of_weights
    return terms


def adjacent_spans(blocks: tuple[int, ...], size: int) -> list[tuple[int, int]]:
    """The first number and the length of each run of adjacent blocks of `size` numbers."""
    found: list[tuple[int, int]] = []
    for block in blocks:
        if found and sum(found[-1]) == block * size:
            found[-1] = (found[-1][0], found[-1][1] + size)
        else:
            found.append((block * size, size))
    return found
