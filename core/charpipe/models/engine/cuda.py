"""The engine cuda-graphs: the layout that cuDNN is fastest with, where there is one, in an update that is recorded.

Unverified: it has run without a GPU only, its numbers held against PyTorch's layers on a CPU. So it is off unless it is
asked for, until a measurement of it is kept in benchmarks/results.
"""

from __future__ import annotations

import torch
from torch import nn

from charpipe.errors import UsageError
from charpipe.models.engine import Forward, plain_forward, unusual_layers
from charpipe.models.engine.padded import AS_IT_IS, forward_of, layout_for
from charpipe.models.precision import Precision
from charpipe.models.shell import LanguageModel


def forward_on_cuda(network: nn.Module, device: torch.device, precision: Precision, lanes: int) -> Forward:
    """The forward pass to record. Raises UsageError where there is no CUDA, or PyTorch's layers are not what it is
    made of: what others do between two products may not be recordable."""
    reason = "it is for CUDA" if device.type != "cuda" else unusual_layers(network)
    if reason is not None:
        raise UsageError(
            f"the engine cuda-graphs cannot train this: {reason}; leave --engine out, or use --engine plain"
        )
    assert isinstance(network, LanguageModel)
    layout = layout_for(network, lanes, precision)
    if layout is None and not _drops_inside(network):
        return plain_forward(network, device, precision)
    return forward_of(network, getattr(torch, precision), layout or AS_IT_IS)


def _drops_inside(network: LanguageModel) -> bool:
    """Whether cuDNN would drop units between layers: with a generator of its own, which no seed of a step reaches."""
    layer: nn.RNNBase = network.recurrence.layer  # type: ignore[assignment]
    return layer.num_layers > 1 and layer.dropout > 0


def fitting_precision(network: nn.Module, lanes: int) -> Precision:
    """float16 where it gets cuDNN's persistent kernel, else bfloat16."""
    known = unusual_layers(network) is None and isinstance(network, LanguageModel)
    return "float16" if known and layout_for(network, lanes, "float16") else "bfloat16"  # type: ignore[arg-type]
