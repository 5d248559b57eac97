"""The state after every token of a text by compiled kernels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from charpipe.kernels.modules import NetworkModules
from charpipe.kernels.train.network import CompiledNetwork
from charpipe.kernels.train.threads import run_parallel


class CompiledRecorder:
    """ids int64 [T, B], state -> the states after each token, float32 [layers, T, B, H] by name, and the last of them.

    The weights are those of the first call. Its memory is that of a training, with windows of so many tokens.
    """

    def __init__(self, modules: NetworkModules, dtype: torch.dtype) -> None:
        self._net = CompiledNetwork(modules, dtype, training=True, dropout=False)
        self._packed = False

    @torch.no_grad()
    def __call__(
        self, ids: Tensor, state: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        net = self._net
        net.allocate(len(ids), ids.shape[1], torch.get_num_threads())
        rows = net.begin(ids, state)
        if not self._packed:
            net.pack(((0, 0),) * len(net.layers))
            self._packed = True
        run_parallel([partial(net.forward_layers, number, rows) for number in range(len(net.shards))])
        return net.states(), net.state()
