"""A weight matrix of a training: packed anew before each update, and its gradient after it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from charpipe.kernels.jit.compiler import compile_kernel
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import FLOAT32, WORD, DType
from charpipe.kernels.train.codegen.dropout import Dropout
from charpipe.kernels.train.codegen.packing import PackColumns, PackRows
from charpipe.kernels.train.codegen.products import adjacent_spans
from charpipe.kernels.train.codegen.tiles import PADDING_MULTIPLE, TILE_COLUMNS, RowBlocks, padding_multiple
from charpipe.kernels.train.codegen.weight_gradients import GradientSum
from charpipe.kernels.train.memory import zeros
from charpipe.kernels.train.threads import Thunk, partition, run_all

PACKING_PARTS = 2
"""Parts in which `rows` are packed, which takes longer than `columns`."""


def padded(count: int, multiple: int) -> int:
    """The next multiple."""
    return -(-count // multiple) * multiple


class PackedMatrix:
    """`gates` matrices [units, inputs], padded with zeros (`padding_multiple`) and packed twice: `rows` for the product
    with inputs (x @ W.T), `columns` for the way back to them (grad @ W). `gradient` [gates, units, inputs] float32 is
    padded as well.

    A tile of `rows` has `registers` registers of units. `dropout` is the probability of a weight's dropout; the mask
    follows from a seed. Without `training` there are only `rows`.
    """

    def __init__(
        self,
        processor: Processor,
        dtype: DType,
        shape: tuple[int, int, int],
        dropout: float = 0.0,
        *,
        training: bool = True,
        registers: int = TILE_COLUMNS,
    ) -> None:
        self._processor, self._dtype, self._shape, self._training = processor, dtype, shape, training
        multiple = padding_multiple(processor, dtype)
        full = (shape[0], *(padded(count, multiple) for count in shape[1:]))
        self.gates, self.units, self.inputs = full
        self._sum = GradientSum.of(processor, dtype)
        self._padded = torch.zeros(full) if full != shape or dropout else None
        none, torch_dtype = (0, 0, 0), getattr(torch, dtype.name)
        self.rows = zeros(*full, dtype=torch_dtype)
        self.columns = zeros(*(full if training else none), dtype=torch_dtype)
        self.gradient = zeros(*(full if training else none))
        self._apply_dropout = None
        if dropout:
            blocks = RowBlocks.of(self.gates * self.units, 1)
            kernel = compile_kernel(processor, Dropout, FLOAT32, self.inputs, dropout, False, blocks.sizes)
            self._apply_dropout = lambda seed, address: kernel(
                1, 0, *blocks.counts, 0, 0, seed, address, address
            )
        self._pack_rows = compile_kernel(processor, PackRows, dtype, *full, registers)
        if training:
            rows = self.gates * self.units
            self._pack_columns = compile_kernel(processor, PackColumns, dtype, rows, self.inputs)
        self._seed = 0

    def packing(self, values: Tensor, seed: int = 0) -> Iterator[Thunk]:
        """Thunks that pack `values`, float32 [gates * units, inputs] without padding."""
        whole = values.detach().view(self._shape)
        if self._padded is not None:
            self._padded[:, : self._shape[1], : self._shape[2]] = whole
            whole = self._padded
        self._seed = seed
        if self._apply_dropout is not None:
            self._apply_dropout(seed, whole.data_ptr())
        for part in range(PACKING_PARTS):
            yield partial(self._pack_rows, whole.data_ptr(), self.rows.data_ptr(), part, PACKING_PARTS)
        if self._training:
            yield partial(self._pack_columns, whole.data_ptr(), self.columns.data_ptr())

    def gradient_thunks(
        self, inputs: Tensor, grad_pre: Tensor, blocks: tuple[int, ...], scratch: list[Tensor]
    ) -> list[Thunk]:
        """Thunks that sum the gradient, one for each scratch memory: grad_pre.T @ inputs, of inputs [rows, inputs] and
        grad_pre [rows, stride], of whose columns the `blocks` of `units` belong to this matrix."""
        panel, rows_at_once = self._sum.panel, self._sum.rows_at_once
        spec = (self._dtype, grad_pre.shape[1], self.inputs, rows_at_once)
        kernel = compile_kernel(self._processor, self._sum.kernel, *spec)
        flat = self.gradient.view(-1, self.inputs)

        def sum_rows(mine: Tensor, rows: tuple[int, int], column: int) -> None:
            """Some rows of the gradient, which are the columns of grad_pre from `column` on."""
            target = flat[rows[0] : rows[1]].zero_()
            panels, rest = divmod(len(target), panel)
            source = grad_pre.data_ptr() + column * grad_pre.element_size()
            panel_scratch = mine.data_ptr()
            kernel(
                len(grad_pre), panels, rest // PADDING_MULTIPLE, source, inputs.data_ptr(), target.data_ptr(),
                panel_scratch, panel_scratch + rows_at_once * panel * WORD,
            )  # fmt: skip

        thunks: list[list[Thunk]] = [[] for _ in scratch]
        done = 0
        for start, length in adjacent_spans(blocks, self.units):
            for part, (a, b) in enumerate(partition(length, len(scratch), panel)):
                thunks[part].append(partial(sum_rows, scratch[part], (done + a, done + b), start + a))
            done += length
        return [partial(run_all, each) for each in thunks]

    @property
    def scratch_size(self) -> int:
        """The float32 numbers of scratch memory that a thread needs to sum the gradient."""
        return self._sum.rows_at_once * (self._sum.panel + self.inputs)

    def unpadded_gradient(self) -> Tensor:
        """The gradient of the values packed, [gates * units, inputs] without padding."""
        if self._apply_dropout is not None:
            self._apply_dropout(self._seed, self.gradient.data_ptr())
        return self.gradient[:, : self._shape[1], : self._shape[2]].flatten(0, 1).contiguous()
