"""How a network's weights descend: its loss and gradients over a window, by PyTorch or by kernels of charpipe's own.

On a CPU the engine "fast" trains PyTorch's RNN, GRU and LSTM with code that is made for this processor and these sizes:
the same numbers, sooner. It stands behind the model contract: whatever it does not know keeps its own forward pass.
Importing this module compiles nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.errors import UsageError
from charpipe.models.contract import State, detach
from charpipe.models.precision import Precision, autocast
from charpipe.models.processor import this_processor
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel

Forward = Callable[[Tensor, State], tuple[Tensor, State]]
"""ids int64 [T, B] and state -> logits [T, B, V] and the state after, through which gradients flow."""
Descend = Callable[[Tensor, Tensor, State, float], tuple[Tensor, State]]
"""ids and targets int64 [T, B], the state before them and a factor -> the loss, nats per token, and the state after. So
many times its gradient is left with each parameter, which had none."""
LAYERS = {nn.RNN: ("hidden",), nn.GRU: ("hidden",), nn.LSTM: ("hidden", "cell")}
"""Those that the engine "fast" knows, with the names of their states."""


def choose_engine(
    network: nn.Module,
    device: torch.device,
    precision: Precision,
    asked: str = "auto",
    *,
    lanes: int = 1,
    threads: int = 1,
    scaler: torch.amp.GradScaler | None = None,
) -> tuple[str, Descend]:
    """The name of the engine, "fast", "plain" or "cuda-graphs", and how to descend by it with so many lanes and
    threads; `scaler` scales what PyTorch differentiates. Raises UsageError where the one asked for cannot be."""
    if asked == "cuda-graphs":
        from charpipe.models.engine.cuda import forward_on_cuda

        return asked, by_autograd(forward_on_cuda(network, device, precision, lanes), scaler)
    reason = None if asked == "plain" else obstacle(network, device, precision)
    if asked == "fast" and reason is not None:
        raise UsageError(
            f"the fast engine cannot train this: {reason}; leave --engine out, or use --engine plain"
        )
    if asked == "plain" or reason is not None or (asked == "auto" and not _pays(network, precision)):
        return "plain", by_autograd(plain_forward(network, device, precision), scaler)
    from charpipe.models.engine.network import Descent

    assert isinstance(network, LanguageModel)
    return "fast", Descent(network, getattr(torch, precision), threads)


def scoring_by_engine(
    network: nn.Module, device: torch.device, precision: Precision
) -> Callable[[Tensor, State], tuple[Tensor, State]] | None:
    """`Predictor.score` by the engine "fast", or None where it cannot be, or would not be the faster one."""
    if obstacle(network, device, precision) is not None or not _pays(network, precision):
        return None
    from charpipe.models.engine.network import Scoring

    assert isinstance(network, LanguageModel)
    return Scoring(network, getattr(torch, precision))


def by_autograd(forward: Forward, scaler: torch.amp.GradScaler | None = None) -> Descend:
    """Cross entropy of what a forward pass says, differentiated by PyTorch."""

    def descend(ids: Tensor, targets: Tensor, state: State, factor: float) -> tuple[Tensor, State]:
        logits, after = forward(ids, state)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        whole = loss * factor
        (whole if scaler is None else scaler.scale(whole)).backward()  # type: ignore[no-untyped-call]
        return loss.detach(), detach(after)

    return descend


def _pays(network: nn.Module, precision: Precision) -> bool:
    """Whether the engine is the faster one: processors with a unit for whole matrices have one that its kernels do not
    use, and PyTorch's LSTM, one operation of oneDNN, does."""
    here, layer = this_processor(), network.recurrence.layer  # type: ignore[union-attr]
    matrices = here is not None and here.matrices and precision == "bfloat16"
    return not (matrices and isinstance(layer, nn.LSTM))


def is_uncertain(network: nn.Module, device: torch.device, precision: Precision) -> bool:
    """Whether both engines can train this, and only a trial says which one is faster."""
    return obstacle(network, device, precision) is None and not _pays(network, precision)


def plain_forward(network: nn.Module, device: torch.device, precision: Precision) -> Forward:
    """The network's own."""

    def forward(ids: Tensor, state: State) -> tuple[Tensor, State]:
        with autocast(device, precision):
            logits, state = network(ids, state)
        return logits, state

    return forward


def obstacle(network: nn.Module, device: torch.device, precision: Precision) -> str | None:
    """Why the engine cannot train this network, or None where it can."""
    if device.type != "cpu":
        return "it is for CPUs"
    if unusual := unusual_layers(network):
        return unusual
    here = this_processor()
    if here is None:
        return "it needs a processor with AVX2 or AVX-512, and llvmlite, which compiles for it"
    if precision == "float16" or (precision == "bfloat16" and not here.bfloat16):
        return f"this processor does not multiply {precision}"
    return None


def unusual_layers(network: nn.Module) -> str | None:
    """What keeps a network from being one of PyTorch's RNN, GRU or LSTM in charpipe's shell, or None."""
    if type(network) is not LanguageModel or type(network.recurrence) is not TorchRecurrence:
        return "its recurrence is not one of PyTorch's in charpipe's shell"
    layer = network.recurrence.layer
    usual = layer.bias and not (layer.bidirectional or layer.proj_size or layer.batch_first)
    if type(layer) not in LAYERS or not usual or getattr(layer, "nonlinearity", "tanh") != "tanh":
        return "its layers are not the usual RNN, GRU or LSTM"
    if network.recurrence.names != LAYERS[type(layer)]:
        return "its states have other names than usual"
    if any(each.dtype != torch.float32 for each in network.parameters()):
        return "its weights are not float32"
    return None


__all__ = [
    "Descend",
    "Forward",
    "by_autograd",
    "choose_engine",
    "is_uncertain",
    "obstacle",
    "scoring_by_engine",
]
