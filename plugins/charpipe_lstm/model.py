"""The LSTM: a cell that is written, kept and read through three gates.

i, f, o = sigmoid(W x + U h + b), each with its own W, U, b        g = tanh(W x + U h + b)
c' = f * c + i * g        h' = o * tanh(c')
"""

from torch import nn

from charpipe.models import LanguageModel, TorchRecurrence, embedding_width, initialise
from charpipe_lstm import LstmConfig

FORGET = 1  # PyTorch keeps the gates in the order i, f, g, o


def build(config: LstmConfig, vocabulary_size: int) -> LanguageModel:
    """A language model around `layers` LSTM layers."""

    one_hot = embedding_width(config, vocabulary_size) is None

    def recurrence(input_size: int) -> TorchRecurrence:
        between = config.dropout if config.layers > 1 else 0.0
        layer = nn.LSTM(input_size, config.hidden_size, config.layers, dropout=between)
        initialise(
            layer,
            one_hot=one_hot,
            forget_gate=FORGET,
            forget_bias=config.forget_bias,
            how=config.initialisation,
        )
        return TorchRecurrence(
            layer,
            ("hidden", "cell"),
            locked=config.locked_dropout,
            recurrent_dropout=config.recurrent_dropout,
        )

    return LanguageModel(config, vocabulary_size, recurrence)
