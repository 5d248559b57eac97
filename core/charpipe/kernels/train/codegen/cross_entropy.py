"""The softmax head over a window: logits, cross entropy and its gradient. The logits are not stored."""

from __future__ import annotations

from charpipe.kernels.jit.amx import ROW_BYTES
from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import WORD, DType, Int, Pointer, Vector
from charpipe.kernels.train.codegen.activations import exp
from charpipe.kernels.train.codegen.amx_product import AmxProduct, Term, uses_amx
from charpipe.kernels.train.codegen.tiles import INDEX, TILE_COLUMNS, Window, each_tile, multiply_tile

PADDING_BIAS = -1e30
"""The bias of the padding tokens: their probability is zero."""


class CrossEntropy:
    """The kernel `cross_entropy(window, hidden, weights, bias, targets, scale, scratch, grad_logits, margins, sums)`.

    The logits of a row are hidden [rows, units] @ weights + bias; V `tokens`, a multiple of 16. With m their maximum,
    its loss is margin + log(sum), where margin = m - logit of the target and sum = sum of e**(logit - m). Both are left
    behind, float32 [rows]: the logarithm is PyTorch's. With training, `grad_logits` [rows, V] is scale * (softmax -
    one-hot). `scratch` [rows of a block, V] holds the logits of a block.
    """

    ARGUMENTS = Window.ARGUMENTS + 9

    def __init__(
        self,
        processor: Processor,
        dtype: DType,
        units: int,
        tokens: int,
        sizes: tuple[int, ...],
        training: bool = True,
    ) -> None:
        self.builder = builder = KernelBuilder(processor, self.ARGUMENTS)
        self.dtype, self.units, self.tokens, self.training = dtype, units, tokens, training
        self.window = Window(builder, sizes)
        pointers = [builder.pointer(address) for address in builder.arguments[Window.ARGUMENTS :]]
        self.hidden, self.weights, self.bias, self.targets, scale = pointers[:5]
        self.scratch, self.grad_logits, self.margins, self.sums = pointers[5:]
        self.scale = builder.load_broadcast(scale)
        self.amx = AmxProduct(builder, sizes[0]) if uses_amx(processor, dtype) else None

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        self.window.each_step_and_block(self._block)
        if self.amx is not None:
            self.amx.release()
        return self.builder.finish()

    def _block(self, rows: list[Int]) -> None:
        if self.amx is not None:
            self._amx_block(self.amx, rows)
            return
        each_tile(
            self.builder,
            self.tokens,
            TILE_COLUMNS,
            lambda register, registers: self._logits(rows, register, registers),
        )
        for i, row in enumerate(rows):
            self._loss(row, self.scratch + i * self.tokens * WORD)

    def _amx_block(self, amx: AmxProduct, rows: list[Int]) -> None:
        """`_block` by AMX, which begins the sums with the bias and leaves them in the scratch memory."""
        dtype, surplus, logits = self.dtype, amx.rows - len(rows), self.tokens * WORD
        words, stride = self.units // dtype.per_word, self.units * dtype.size
        hidden = self.hidden + (rows[0] - surplus) * stride

        def tile(register: Int, registers: int) -> None:
            weights = self.weights + register * (words * ROW_BYTES)
            term = Term(hidden, stride, weights, registers, words, tuple(range(registers)))
            bias = self.bias + register * ROW_BYTES
            amx.sums([term], registers, self.scratch + register * ROW_BYTES, logits, start=(bias, 0))

        each_tile(self.builder, self.tokens, TILE_COLUMNS, tile)
        self.builder.loop(len(rows), lambda i: self._loss(rows[0] + i, self.scratch + (i + surplus) * logits))

    def _logits(self, rows: list[Int], register: Int, registers: int) -> None:
        builder, width, dtype = self.builder, self.builder.width, self.dtype
        bias = [builder.load(self.bias + (register + i) * (width * WORD)) for i in range(registers)]
        hidden = [self.hidden + row * (self.units * dtype.size) for row in rows]
        words = self.units // dtype.per_word
        weights = self.weights + register * (words * width * WORD)
        found = multiply_tile(builder, dtype, [bias for _ in rows], hidden, weights, words)
        for row, mine in enumerate(found):
            for i, value in enumerate(mine):
                column = (register + i) * width + row * self.tokens
                builder.store(self.scratch + column * WORD, value)

    def _loss(self, row: Int, logits: Pointer) -> None:
        """From the logits of a row to its loss and their gradient."""
        builder, width, dtype = self.builder, self.builder.width, self.dtype
        target = builder.load_int(self.targets + row * INDEX)
        count = self.tokens // width

        (maximum,) = builder.loop(
            count,
            lambda i, most: [most.max(builder.load(logits + i * (width * WORD)))],
            [builder.constant(PADDING_BIAS)],
        )
        maximum = maximum.reduce(Vector.max)  # subtracted, so that no exponential overflows
        target_logit = builder.load_broadcast(logits + target * WORD)

        def exponential(i: Int, total: Vector) -> list[Vector]:
            pointer = logits + i * (width * WORD)
            value = exp(builder.load(pointer) - maximum)
            builder.store(pointer, value)
            return [total + value]

        (total,) = builder.loop(count, exponential, [builder.zero])
        total = total.reduce(Vector.__add__)
        factor = self.scale / total

        def gradient(i: Int) -> None:
            one_hot = builder.one_hot(i * width, target)
            value = builder.load(logits + i * (width * WORD)) * factor - one_hot * self.scale
            builder.store(self.grad_logits + (row * self.tokens + i * width) * dtype.size, value, dtype)

        builder.loop(count if self.training else 0, gradient)
        builder.store_scalar(self.margins + row * WORD, (maximum - target_logit).first())
        builder.store_scalar(self.sums + row * WORD, total.first())
