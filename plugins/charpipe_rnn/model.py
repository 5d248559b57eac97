"""The vanilla recurrent network, as the blog writes it (one bias more than it shows, as in min-char-rnn):

h' = tanh(W_hh h + W_xh x + b)        y = W_hy h' + b_y
"""

from torch import nn

from charpipe.models import LanguageModel, TorchRecurrence, embedding_width, initialise
from charpipe.plugin import RecurrentConfig


def build(config: RecurrentConfig, vocabulary_size: int) -> LanguageModel:
    """A language model around `layers` tanh layers."""

    one_hot = embedding_width(config, vocabulary_size) is None

    def recurrence(input_size: int) -> TorchRecurrence:
        between = config.dropout if config.layers > 1 else 0.0
        layer = nn.RNN(input_size, config.hidden_size, config.layers, nonlinearity="tanh", dropout=between)
        initialise(layer, one_hot=one_hot, how=config.initialisation)
        return TorchRecurrence(
            layer, ("hidden",), locked=config.locked_dropout, recurrent_dropout=config.recurrent_dropout
        )

    return LanguageModel(config, vocabulary_size, recurrence)
