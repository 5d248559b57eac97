"""The loss of every token of a text by compiled kernels, without gradients."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from charpipe.kernels.modules import NetworkModules
from charpipe.kernels.train.network import CompiledNetwork
from charpipe.kernels.train.threads import run_parallel

MAX_TOKENS = 1 << 15
"""Tokens (steps times batch size) scored at once: more would take memory and gain nothing."""


class CompiledScorer:
    """ids int64 [T + 1, B], state -> nats float32 [T, B] of ids[1:], and the state that has read ids[:-1]."""

    def __init__(self, modules: NetworkModules, dtype: torch.dtype) -> None:
        self._net = CompiledNetwork(modules, dtype, training=False)

    @torch.no_grad()
    def __call__(self, ids: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        net, found, steps = self._net, [], max(1, MAX_TOKENS // ids.shape[1])
        after = dict(state)
        net.allocate(min(steps, len(ids) - 1), ids.shape[1], torch.get_num_threads())
        # at every call: fused optimizers change weights without increasing their version
        net.pack(((0, 0),) * len(net.layers))
        for first in range(0, len(ids) - 1, steps):
            losses, after = self._window(ids[first : first + steps + 1], after)
            found.append(losses)
        return torch.cat(found), after

    def _window(self, ids: Tensor, state: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        net, targets = self._net, ids[1:].contiguous()
        net.allocate(len(targets), targets.shape[1], torch.get_num_threads())
        rows = net.begin(ids[:-1], state)
        run_parallel([partial(net.forward, number, rows, targets) for number in range(len(net.shards))])
        return net.head.losses(), net.state()
