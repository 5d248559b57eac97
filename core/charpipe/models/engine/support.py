"""Which networks the engine `fast` can train here, and where it is faster than `plain`."""

from __future__ import annotations

import torch
from torch import nn

from charpipe.cells import Trace
from charpipe.cells.padding import zeros_stay_finite
from charpipe.kernels.jit.processor import this_processor
from charpipe.models.precision import Precision
from charpipe.models.standard import trace_of_network

MAX_PADDING_MULTIPLE = 32
"""Units are padded to a multiple of 16, or of 32 for tiles of AMX."""


def obstacle(network: nn.Module, device: torch.device, precision: Precision) -> str | None:
    """Why the engine `fast` cannot train this network, or None if it can."""
    if device.type != "cpu":
        return "it is for CPUs"
    if reason := unusual_layers(network):
        return reason
    here = this_processor()
    if here is None:
        return "it needs a processor with AVX2 or AVX-512, and llvmlite, which compiles for it"
    if precision == "float16" or (precision == "bfloat16" and not here.multiplies_bfloat16):
        return f"this processor does not multiply {precision}"
    return padding_obstacle(network)


def padding_obstacle(network: nn.Module) -> str | None:
    """Why the padding of the units, to a multiple of `MAX_PADDING_MULTIPLE` at most, would disturb the others."""
    form = trace_of_network(network)
    size: int = network.recurrence.layer.hidden_size  # type: ignore[union-attr, assignment]
    if size % MAX_PADDING_MULTIPLE == 0 or (isinstance(form, Trace) and zeros_stay_finite(form)):
        return None
    return (
        f"the cell is infinite or no number where its gates are zero, so that hidden_size must be a multiple of "
        f"{MAX_PADDING_MULTIPLE}, and it is {size}"
    )


def unusual_layers(network: nn.Module) -> str | None:
    """Why the kernels cannot run a network's layers, or None where they can."""
    form = trace_of_network(network)
    if isinstance(form, str):
        return form
    if not getattr(network.recurrence.layer, "bias", True):  # type: ignore[union-attr]
        return "its layers are not the usual RNN, GRU or LSTM: they have no biases"
    if any(each.dtype != torch.float32 for each in network.parameters()):
        return "its weights are not float32"
    return None


def is_faster(precision: Precision) -> bool:
    """Whether `fast` is certainly faster than `plain`: not where PyTorch's products in bfloat16 may use AMX, which the
    processor has, and the kernels do not."""
    here = this_processor()
    return here is None or not here.matrices or here.amx != "off" or precision != "bfloat16"


def is_uncertain(network: nn.Module, device: torch.device, precision: Precision) -> bool:
    """Whether both engines can train this network, and only a trial can tell which is faster."""
    return obstacle(network, device, precision) is None and not is_faster(precision)
