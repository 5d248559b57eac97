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
LAYERS = (nn.RNN, nn.GRU, nn.LSTM)


def choose_engine(
    network: nn.Module, device: torch.device, precision: Precision, asked: str = "auto"
) -> tuple[str, Forward]:
    """The name of the engine, "fast" or "plain", and the forward pass to train with: ids int64 [T, B] and state
    -> logits [T, B, V] and state. Raises UsageError where "fast" is asked for and cannot be."""
    reason = None if asked == "plain" else obstacle(network, device, precision)
    if asked == "fast" and reason is not None:
        raise UsageError(
            f"the fast engine cannot train this: {reason}; leave --engine out, or use --engine plain"
        )
    if asked == "plain" or reason is not None:

        def plain(ids: Tensor, state: State) -> tuple[Tensor, State]:
            with autocast(device, precision):
                logits, state = network(ids, state)
            return logits, state

        return "plain", plain
    from charpipe.models.engine.network import forward_of

    assert isinstance(network, LanguageModel)
    return "fast", forward_of(network, getattr(torch, precision))


def obstacle(network: nn.Module, device: torch.device, precision: Precision) -> str | None:
    """Why the engine cannot take this network's forward pass, or None where it can."""
    if device.type != "cpu":
        return "it is for CPUs"
    if type(network) is not LanguageModel or type(network.recurrence) is not TorchRecurrence:
        return "its recurrence is not one of PyTorch's in charpipe's shell"
    layer = network.recurrence.layer
    usual = layer.bias and not (layer.bidirectional or layer.proj_size or layer.batch_first)
    if type(layer) not in LAYERS or not usual or getattr(layer, "nonlinearity", "tanh") != "tanh":
        return "its layers are not the usual RNN, GRU or LSTM"
    if precision == "float16":
        return "it multiplies in float32 or bfloat16"
    if not can_compile():
        return "numba, which compiles it, is not installed (pip install numba)"
    return None


__all__ = ["Forward", "choose_engine", "obstacle"]
