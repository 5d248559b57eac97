"""Twenty steps of every architecture against stored losses: a change of the mathematics does not pass unseen."""

import json
from pathlib import Path

import pytest

from charpipe.evaluation import score
from charpipe.events import Step, TrainingStarted
from charpipe.models import load_model
from charpipe.plugins.registry import Registry
from charpipe.training import last_checkpoint, train
from charpipe.training.count_based import train_count_based

GOLDEN = json.loads(Path(__file__).with_name("golden_losses.json").read_text())


@pytest.mark.parametrize("engine", ["fast", "plain"])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_losses(tmp_path, new_model, tokens, settings, name, engine):
    chosen = settings(
        steps=20, precision="float32", learning_rate=4e-3, batch_size=4, window=8, engine=engine
    )
    events = list(train(new_model(name, dropout=0), tokens, chosen, checkpoints=tmp_path))
    assert [event.engine for event in events if isinstance(event, TrainingStarted)] == [engine]
    losses = [float(event.loss) for event in events if isinstance(event, Step)]
    assert losses == pytest.approx(GOLDEN[name], rel=1e-3)


def test_a_counted_model_scores(tmp_path, letters, tokens):
    architecture = Registry().architecture("ngram")
    events = train_count_based(
        architecture,
        architecture.config(),
        tokens[300:],
        letters,
        checkpoints=tmp_path,
        vocabulary={"characters": "".join(letters.labels)},
        plugin={"name": "ngram"},
    )
    list(events)
    model = load_model(last_checkpoint(tmp_path), {"ngram": architecture})
    assert score(model.predictor(), tokens[:300]).nats == pytest.approx(GOLDEN["ngram"], rel=1e-4)
