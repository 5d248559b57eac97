"""The forward pass of the engine `cuda-graphs`: in cuDNN's fastest layout, to be captured in a graph.

Unverified: it has run only without a GPU, where tests compare its numbers with PyTorch's layers on a CPU. It is never
selected automatically until benchmarks/results has a measurement of it.
"""

from __future__ import annotations

import torch
from torch import nn

from charpipe.errors import UsageError
from charpipe.models.cell_layers import CellLayers
from charpipe.models.engine.autograd import Forward, plain_forward
from charpipe.models.engine.cudnn_layout import UNPADDED, layout_for, padded_forward
from charpipe.models.engine.support import unusual_layers
from charpipe.models.precision import Precision
from charpipe.models.resets import end_token_of
from charpipe.models.shell import LanguageModel


def forward_on_cuda(
    network: nn.Module, device: torch.device, precision: Precision, batch_size: int
) -> Forward:
    """The forward pass to capture. Raises UsageError without CUDA, and for networks without known equations, whose
    operations may not be capturable."""
    reason = "it is for CUDA" if device.type != "cuda" else unusual_layers(network)
    if reason is None and end_token_of(network) is not None:
        reason = "a captured update cannot start streams anew at the ends of documents"
    if reason is not None:
        raise UsageError(
            f"the engine cuda-graphs cannot train this: {reason}; leave --engine out, or use --engine plain"
        )
    assert isinstance(network, LanguageModel)
    if isinstance(network.recurrence.layer, CellLayers):
        return plain_forward(network, device, precision)
    layout = layout_for(network, batch_size, precision)
    if layout is None and not _has_inner_dropout(network):
        return plain_forward(network, device, precision)
    return padded_forward(network, getattr(torch, precision), layout or UNPADDED)


def _has_inner_dropout(network: LanguageModel) -> bool:
    """Whether cuDNN would apply dropout between layers: from its own generator, which charpipe's seeds do not set."""
    layer: nn.RNNBase = network.recurrence.layer  # type: ignore[assignment]
    return layer.num_layers > 1 and layer.dropout > 0


def fitting_precision(network: nn.Module, batch_size: int) -> Precision:
    """float16 where cuDNN has a persistent kernel for it, else bfloat16."""
    known = unusual_layers(network) is None and isinstance(network, LanguageModel)
    return "float16" if known and layout_for(network, batch_size, "float16") else "bfloat16"  # type: ignore[arg-type]
