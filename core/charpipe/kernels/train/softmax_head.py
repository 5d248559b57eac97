"""The softmax head of a training: a linear layer, softmax and cross entropy."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from charpipe.kernels.jit.compiler import compile_kernel
from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import DType
from charpipe.kernels.train.batch_shard import BatchShard
from charpipe.kernels.train.codegen.cross_entropy import PADDING_BIAS, CrossEntropy
from charpipe.kernels.train.codegen.products import InputGradient
from charpipe.kernels.train.codegen.tiles import block_rows
from charpipe.kernels.train.codegen.weight_gradients import ScatterAdd
from charpipe.kernels.train.memory import zeros
from charpipe.kernels.train.packed_matrix import PackedMatrix
from charpipe.kernels.train.threads import Thunk


class SoftmaxHead:
    """PyTorch's linear layer, softmax and cross entropy, with products of `dtype`. `scale` multiplies the gradient."""

    def __init__(
        self, processor: Processor, dtype: DType, linear: nn.Linear, *, training: bool = True
    ) -> None:
        self.processor, self.dtype, self.linear, self.training = processor, dtype, linear, training
        shape = (1, linear.out_features, linear.in_features)
        self.matrix = PackedMatrix(processor, dtype, shape, training=training)
        self.tokens = self.matrix.units
        self.bias = torch.full((self.tokens,), PADDING_BIAS)
        self.grad_bias = torch.zeros(1, self.tokens)
        self.scale = torch.ones(1)

    def allocate(self, steps: int, batch_size: int, shards: int) -> None:
        """Memory for a window; the logits of a block's rows for each shard."""
        torch_dtype, kept_steps = getattr(torch, self.dtype.name), steps if self.training else 0
        self.grad_logits = zeros(kept_steps, batch_size, self.tokens, dtype=torch_dtype)
        self.margins, self.sums = torch.zeros(2, steps, batch_size)
        self.logits = torch.zeros(shards, block_rows(self.processor, self.dtype), self.tokens)
        self.zero_rows = torch.zeros(steps, batch_size, dtype=torch.int64)

    def packing(self) -> Iterator[Thunk]:
        """Thunks that pack the present weights."""
        self.bias[: self.linear.out_features] = self.linear.bias.detach()
        yield from self.matrix.packing(self.linear.weight)

    def forward(self, shard: BatchShard, number: int, hidden: Tensor, targets: Tensor) -> None:
        """From a shard's rows of hidden [T, B, H] to their losses, and with training the gradient of their logits;
        `number` is that of the shard."""
        spec = (self.dtype, self.matrix.inputs, self.tokens, shard.block_sizes, self.training)
        compile_kernel(self.processor, CrossEntropy, *spec)(
            *shard.window,
            shard.address(hidden),
            self.matrix.rows.data_ptr(),
            self.bias.data_ptr(),
            shard.address(targets),
            self.scale.data_ptr(),
            self.logits[number].data_ptr(),
            shard.address(self.grad_logits),
            shard.address(self.margins, 1),
            shard.address(self.sums, 1),
        )

    def backward(self, shard: BatchShard, grad_hidden: Tensor) -> None:
        """From the gradient of the logits to that of hidden."""
        spec = (self.dtype, self.tokens, (0,), self.tokens, self.matrix.inputs, shard.block_sizes)
        compile_kernel(self.processor, InputGradient, *spec)(
            *shard.window,
            shard.address(self.grad_logits),
            self.matrix.columns.data_ptr(),
            shard.address(grad_hidden),
        )

    def gradient_thunks(self, hidden: Tensor, scratch: list[Tensor]) -> Iterator[list[Thunk]]:
        """For each gradient the thunks that sum it."""
        grad_logits = self.grad_logits.flatten(0, 1)
        yield self.matrix.gradient_thunks(hidden.flatten(0, 1), grad_logits, (0,), scratch)
        kernel = compile_kernel(self.processor, ScatterAdd, self.dtype, self.tokens, self.tokens)

        def sum_bias() -> None:
            self.grad_bias.zero_()
            kernel(
                len(grad_logits),
                self.tokens // self.processor.width,
                self.zero_rows.data_ptr(),
                grad_logits.data_ptr(),
                self.grad_bias.data_ptr(),
            )

        yield [sum_bias]

    def losses(self) -> Tensor:
        """The loss of each token, nats, float32 [T, B]."""
        losses: Tensor = self.margins + self.sums.log()
        return losses

    def gradients(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Parameters and their gradients."""
        yield self.linear.weight, self.matrix.unpadded_gradient()
        yield self.linear.bias, self.grad_bias[0, : self.linear.out_features]
