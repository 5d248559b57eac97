"""Loss and gradients of a window by compiled kernels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from charpipe.kernels.modules import NetworkModules
from charpipe.kernels.train.network import CompiledNetwork
from charpipe.kernels.train.threads import Thunk, run_all, run_parallel


class CompiledLossAndGrad:
    """ids and targets int64 [T, B], the state before them, and a factor of the gradients -> the mean loss, nats per
    token, and the state after. The gradients are left in the parameters' `grad`, and are valid until the next call.

    The result does not depend on the number of threads: no sum is split among them.
    """

    def __init__(self, modules: NetworkModules, dtype: torch.dtype, threads: int = 1) -> None:
        self._net, self._threads = CompiledNetwork(modules, dtype, training=True), threads
        self._parameters = modules.parameters()

    @torch.no_grad()
    def __call__(
        self,
        ids: Tensor,
        targets: Tensor,
        state: Mapping[str, Tensor],
        factor: float = 1.0,
        streams: tuple[int, int] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Where these are some streams of a batch, `streams` are the number of the first, and the streams in the batch:
        with the same seed of PyTorch's generator all have the dropout masks of the whole batch."""
        net, targets = self._net, targets.contiguous()
        net.allocate(len(ids), ids.shape[1], self._threads)
        rows = net.begin(ids, state, streams)
        net.pack(torch.randint(2**32, (len(net.layers), 2)).tolist())
        net.head.scale.fill_(factor / ids.numel())
        run_parallel(
            [partial(self._forward_and_back, number, rows, targets) for number in range(len(net.shards))]
        )
        self._sum_gradients(rows)
        self._set_gradients()
        return net.head.losses().mean(), net.state()

    def _forward_and_back(self, number: int, rows: Tensor, targets: Tensor) -> None:
        """Take one shard through all layers and back."""
        net, shard = self._net, self._net.shards[number]
        net.forward(number, rows, targets)
        net.head.backward(shard, net.layers[-1].grad_hidden)
        for layer in reversed(net.layers):
            layer.backward(shard, net.layers[layer.number - 1].grad_hidden if layer.number else None)

    def _sum_gradients(self, rows: Tensor) -> None:
        """Sum the gradients of all weights; each thread takes some rows of each matrix."""
        layers, head = self._net.layers, self._net.head
        matrices = [
            head.matrix,
            *(each for layer in layers for each in (layer.recurrent, layer.inputs) if each is not None),
        ]
        size = max(matrix.scratch_size for matrix in matrices)
        scratch = [torch.empty(size) for _ in self._net.shards]
        every = list(head.gradient_thunks(layers[-1].outputs, scratch))
        for layer in layers:
            below = layers[layer.number - 1].outputs if layer.number else None
            every += layer.gradient_thunks(scratch, None if layer.number else rows, below)
        by_thread: list[list[Thunk]] = [[] for _ in scratch]
        for thunks in every:
            for mine, thunk in zip(by_thread, thunks, strict=False):
                mine.append(thunk)
        run_parallel([partial(run_all, mine) for mine in by_thread])

    def _set_gradients(self) -> None:
        """Set each parameter's `grad`. One that is used twice (tied weights) gets the sum."""
        for each in self._parameters:
            each.grad = None
        for parameter, gradient in self._gradients():
            if parameter.requires_grad:
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def _gradients(self) -> Iterator[tuple[Tensor, Tensor]]:
        net = self._net
        yield from net.head.gradients()
        for layer in net.layers:
            yield from layer.gradients()
        yield from net.input_table.gradients(net.layers[0].unpadded_grad_table())
