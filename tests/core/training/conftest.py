import pytest

from charpipe.models import build_model
from charpipe.training import TrainConfig
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from charpipe_rnn import charpipe_architectures as rnn
from letters import Letters

ARCHITECTURES = {item.name: item for hook in (rnn, lstm, gru) for item in hook()}
TEXT = "the quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 40


@pytest.fixture
def letters():
    return Letters(sorted(set(TEXT)))


@pytest.fixture
def tokens(letters):
    return letters.encode(TEXT)


@pytest.fixture
def new_model(letters):
    def build(name="lstm", *, size=letters.size, vocabulary=None, seed=1, **settings):
        architecture = ARCHITECTURES[name]
        usual = {"hidden_size": 12, "layers": 2, "dropout": 0.2, "recurrent_dropout": 0.0}
        config = architecture.config(**{**usual, **settings})
        return build_model(
            architecture, config, vocabulary or {"characters": letters.labels}, size, seed=seed
        )

    return build


@pytest.fixture
def settings():
    def make(**values):
        values = {"steps": 30, "batch_size": 4, "window": 8, "evaluate_every": 7, "device": "cpu", **values}
        return TrainConfig(**values)

    return make
