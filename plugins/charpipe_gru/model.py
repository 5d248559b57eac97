"""The GRU: the state moves towards a candidate as far as its update gate lets it.

    r, z = sigmoid(W x + b + U h + d), each with its own W, U, b, d        n = tanh(W x + b + r * (U h + d))
    h' = (1 - z) * n + z * h

The reset gate multiplies after the product with U, as cuDNN has it.
"""

from torch import nn

from charpipe.models import LanguageModel, TorchRecurrence, embedding_width, initialise
from charpipe.plugin import RecurrentConfig


def build(config: RecurrentConfig, vocabulary_size: int) -> LanguageModel:
    """A language model around `layers` GRU layers."""

    one_hot = embedding_width(config, vocabulary_size) is None

    def recurrence(input_size: int) -> TorchRecurrence:
        between = config.dropout if config.layers > 1 else 0.0
        layer = nn.GRU(input_size, config.hidden_size, config.layers, dropout=between)
        initialise(layer, one_hot=one_hot, how=config.initialisation)
        return TorchRecurrence(
            layer, ("hidden",), locked=config.locked_dropout, recurrent_dropout=config.recurrent_dropout
        )

    return LanguageModel(config, vocabulary_size, recurrence)
