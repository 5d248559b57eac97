"""The softmax head of a training, with the loss at its end."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from charpipe.models.engine.kernels.code import Kind
from charpipe.models.engine.kernels.gradients import LookUpGradient
from charpipe.models.engine.kernels.head import BEYOND, Head
from charpipe.models.engine.kernels.machine_code import assembled
from charpipe.models.engine.kernels.sweeps import Through
from charpipe.models.engine.kernels.tiles import lanes_in_tile
from charpipe.models.engine.lanes import Piece
from charpipe.models.engine.layers import Share
from charpipe.models.engine.matrices import Matrix
from charpipe.models.engine.memory import zeros
from charpipe.models.processor import Processor


class Softmax:
    """PyTorch's linear layer, softmax and cross entropy, with products of `kind`."""

    def __init__(self, processor: Processor, kind: Kind, linear: nn.Linear, *, learns: bool = True) -> None:
        self.processor, self.kind, self.linear, self.learns = processor, kind, linear, learns
        self.matrix = Matrix(processor, kind, (1, linear.out_features, linear.in_features), learns=learns)
        self.tokens = self.matrix.units
        self.bias = torch.full((self.tokens,), BEYOND)
        self.of_bias = torch.zeros(1, self.tokens)
        self.scale = torch.ones(1)

    def make_room(self, steps: int, lanes: int, threads: int) -> None:
        """Memory for a window."""
        dtype = getattr(torch, self.kind.name)
        self.of_scores = zeros(steps if self.learns else 0, lanes, self.tokens, dtype=dtype)
        self.losses = torch.zeros(2, steps, lanes)
        self.scores = torch.zeros(threads, lanes_in_tile(self.processor), self.tokens)
        self.nothing = torch.zeros(steps, lanes, dtype=torch.int64)

    def packing(self) -> Iterator[Piece]:
        """What lays out the weights as they are now."""
        self.bias[: self.linear.out_features] = self.linear.bias.detach()
        yield from self.matrix.packing(self.linear.weight)

    def forward(self, share: Share, part: int, hidden: Tensor, targets: Tensor) -> None:
        """From some lanes of hidden [T, B, H] to their losses, and what is learnt from them."""
        spec = (self.kind, self.matrix.inputs, self.tokens, share.sizes, self.learns)
        assembled(self.processor, Head, *spec)(
            *share.window,
            share.at(hidden),
            self.matrix.rows.data_ptr(),
            self.bias.data_ptr(),
            share.at(targets),
            self.scale.data_ptr(),
            self.scores[part].data_ptr(),
            share.at(self.of_scores),
            share.at(self.losses[0]),
            share.at(self.losses[1]),
        )

    def backward(self, share: Share, above: Tensor) -> None:
        """From there back to the gradient of hidden."""
        back = (self.kind, self.tokens, (0,), self.tokens, self.matrix.inputs, share.sizes)
        assembled(self.processor, Through, *back)(
            *share.window, share.at(self.of_scores), self.matrix.columns.data_ptr(), share.at(above)
        )

    def summing(self, hidden: Tensor, rooms: list[Tensor]) -> Iterator[list[Piece]]:
        """The gradients to be summed, each in pieces."""
        of_scores = self.of_scores.flatten(0, 1)
        yield self.matrix.summing(hidden.flatten(0, 1), of_scores, (0,), rooms)
        kernel = assembled(self.processor, LookUpGradient, self.kind, self.tokens, self.tokens)

        def bias() -> None:
            self.of_bias.zero_()
            kernel(
                len(of_scores),
                self.tokens // self.processor.width,
                self.nothing.data_ptr(),
                of_scores.data_ptr(),
                self.of_bias.data_ptr(),
            )

        yield [bias]

    def nats(self) -> Tensor:
        """The loss of each step and lane, float32 [T, B]."""
        return self.losses[0] + self.losses[1].log()

    def gradients(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Parameters and their gradients."""
        yield self.linear.weight, self.matrix.found()
        yield self.linear.bias, self.of_bias[0, : self.linear.out_features]
