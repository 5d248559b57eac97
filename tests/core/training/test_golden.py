"""Twenty steps of every architecture against stored losses: a change of the mathematics does not pass unseen."""

import json
from pathlib import Path

import pytest

from charpipe.events import Step
from charpipe.training import train

GOLDEN = Path(__file__).with_name("golden_losses.json")


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_losses(tmp_path, new_model, tokens, settings, name):
    chosen = settings(steps=20, precision="float32", learning_rate=4e-3, batch_size=4, window=8)
    events = train(new_model(name, dropout=0), tokens, chosen, checkpoints=tmp_path)
    losses = [float(event.loss) for event in events if isinstance(event, Step)]
    assert losses == pytest.approx(json.loads(GOLDEN.read_text())[name], rel=1e-3)
