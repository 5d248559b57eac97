"""The recurrent engine: PyTorch's RNN, GRU and LSTM trained on a CPU with the same numbers, sooner.

One-hot input becomes a row look-up, lanes are swept by threads that never wait for each other, the work between two
products is compiled, and the weights' gradient is one product. It stands behind the model contract: whatever it does
not know keeps its own forward pass. Importing this module compiles nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from charpipe.errors import UsageError
from charpipe.models.compiling import can_compile
from charpipe.models.contract import State
from charpipe.models.precision import Precision, autocast
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel

Forward = Callable[[Tensor, State], tuple[Tensor, State]]
LSTM_UNITS = 512
LAYERS = (nn.RNN, nn.GRU, nn.LSTM)


def choose_engine(
    network: nn.Module, device: torch.device, precision: Precision, asked: str = "auto", lanes: int = 1
) -> tuple[str, Forward]:
    """The name of the engine, "fast", "plain" or "cuda-graphs", and the forward pass to train so many lanes with: ids
    int64 [T, B] and state -> logits [T, B, V] and state. Raises UsageError where the one asked for cannot be."""
    if asked == "cuda-graphs":
        from charpipe.models.engine.cuda import forward_on_cuda

        return asked, forward_on_cuda(network, device, precision, lanes)
    reason = None if asked == "plain" else obstacle(network, device, precision)
    if asked == "fast" and reason is not None:
        raise UsageError(
            f"the fast engine cannot train this: {reason}; leave --engine out, or use --engine plain"
        )
    if asked == "plain" or reason is not None or (asked == "auto" and not _pays(network)):
        return "plain", plain_forward(network, device, precision)
    from charpipe.models.engine.network import forward_of

    assert isinstance(network, LanguageModel)
    return "fast", forward_of(network, getattr(torch, precision))


def _pays(network: nn.Module) -> bool:
    """Whether the engine is the faster one: below so many units PyTorch's LSTM, one operation of oneDNN, is."""
    layer = network.recurrence.layer  # type: ignore[union-attr]
    return not isinstance(layer, nn.LSTM) or layer.hidden_size >= LSTM_UNITS


def plain_forward(network: nn.Module, device: torch.device, precision: Precision) -> Forward:
    """The network's own."""

    def forward(ids: Tensor, state: State) -> tuple[Tensor, State]:
        with autocast(device, precision):
            logits, state = network(ids, state)
        return logits, state

    return forward


def obstacle(network: nn.Module, device: torch.device, precision: Precision) -> str | None:
    """Why the engine cannot take this network's forward pass, or None where it can."""
    if device.type != "cpu":
        return "it is for CPUs"
    if unusual := unusual_layers(network):
        return unusual
    if precision == "float16":
        return "it multiplies in float32 or bfloat16"
    if not can_compile():
        return "numba, which compiles it, is not installed (pip install numba)"
    return None


def unusual_layers(network: nn.Module) -> str | None:
    """What keeps a network from being one of PyTorch's RNN, GRU or LSTM in charpipe's shell, or None."""
    if type(network) is not LanguageModel or type(network.recurrence) is not TorchRecurrence:
        return "its recurrence is not one of PyTorch's in charpipe's shell"
    layer = network.recurrence.layer
    usual = layer.bias and not (layer.bidirectional or layer.proj_size or layer.batch_first)
    if type(layer) not in LAYERS or not usual or getattr(layer, "nonlinearity", "tanh") != "tanh":
        return "its layers are not the usual RNN, GRU or LSTM"
    return None


__all__ = ["Forward", "choose_engine", "obstacle"]
