"""Networks that charpipe's kernels support: one of PyTorch's recurrent layers in charpipe's shell."""

from __future__ import annotations

from charpipe.kernels.modules import NetworkModules
from charpipe.models.recurrence import TorchRecurrence
from charpipe.models.shell import LanguageModel


def modules_of(network: LanguageModel) -> NetworkModules:
    """The modules that kernels read; the recurrence must be a `TorchRecurrence`."""
    recurrence: TorchRecurrence = network.recurrence  # type: ignore[assignment]
    return NetworkModules(
        layer=recurrence.layer,
        state_names=recurrence.names,
        head=network.head,
        embedding=network.embedding,
        dropout=network.dropout,
        locked_head=network.locked,
        locked_layers=recurrence.locked,
        recurrent_dropout=recurrence.recurrent_dropout,
    )


def is_standard(network: object) -> bool:
    """Whether a network is charpipe's shell around one of PyTorch's layers, with no subclass of either."""
    return type(network) is LanguageModel and type(network.recurrence) is TorchRecurrence
