"""The moving average of the weights: its arithmetic, and that it is evaluated and saved."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from charpipe.errors import RunError
from charpipe.evaluation import score
from charpipe.events import Checkpointed, Evaluated, Finished, Notice
from charpipe.training import last_checkpoint, train
from charpipe.training.ema import ExponentialMovingAverage


def trained(folder, model, tokens, settings, **more):
    events = train(model, tokens[300:], settings, validation=tokens[:300], checkpoints=folder, **more)
    return list(events)


def test_the_mean_forgets_at_its_decay_and_faster_early_on():
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = ExponentialMovingAverage(network, 0.9)
    nn.init.ones_(network.weight)
    average.update(1)
    early = 2 / 11
    assert average.network.weight.item() == pytest.approx(1 - early)
    average.update(1000)
    assert average.network.weight.item() == pytest.approx(1 - early * 0.9)
    assert network.weight.item() == 1.0


def test_shared_weights_are_averaged_once_and_stay_shared(new_model):
    network = new_model(embedding_size=12, tie_weights=True).network
    average = ExponentialMovingAverage(network, 0.5)
    with torch.no_grad():
        network.head.weight += 1.0
    before = average.network.head.weight.clone()
    average.update(10**6)
    assert average.network.embedding.weight is average.network.head.weight
    torch.testing.assert_close(average.network.head.weight, before + 0.5)


def test_the_average_is_scored_and_kept_and_at_the_end_it_is_the_model(tmp_path, new_model, tokens, settings):
    model = new_model()
    events = trained(tmp_path, model, tokens, settings(average=0.9, precision="float32"))
    last = last_checkpoint(tmp_path)
    kept, others = load_file(last / "model.safetensors"), load_file(last / "optimizer.safetensors")
    raw = {name[8:]: tensor for name, tensor in others.items() if name.startswith("trained/")}
    assert raw.keys() == kept.keys()
    assert not torch.equal(raw["head.weight"], kept["head.weight"])
    assert torch.equal(model.network.head.weight, kept["head.weight"])
    told = [event for event in events if isinstance(event, Evaluated)][-1].metrics["val/loss"]
    assert score(model.predictor(), tokens[:300]).nats == pytest.approx(told)


def test_without_an_average_nothing_more_is_kept(tmp_path, new_model, tokens, settings):
    trained(tmp_path, new_model(), tokens, settings())
    assert not [
        name
        for name in load_file(last_checkpoint(tmp_path) / "optimizer.safetensors")
        if name.startswith("trained/")
    ]


def test_an_average_without_its_weights_is_refused(new_model):
    network = new_model().network
    with pytest.raises(RunError, match="average"):
        ExponentialMovingAverage(network, 0.9).load(network.state_dict(), {})


def test_patience_ends_a_training_that_no_longer_improves(tmp_path, new_model, tokens, settings):
    chosen = settings(steps=200, evaluate_every=5, learning_rate=1.0, patience=2, warmup=0.0)
    events = trained(tmp_path, new_model(), tokens, chosen)
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == "patience"
    assert any(
        "no better after 2 evaluations" in event.message for event in events if isinstance(event, Notice)
    )
    found = {event.step: event.metrics["val/loss"] for event in events if isinstance(event, Evaluated)}
    best = min(found, key=found.get)
    assert finished.step == best + 2 * 5
    assert [event.step for event in events if isinstance(event, Checkpointed)][-1] == finished.step
    again = trained(tmp_path, new_model(), tokens, chosen, resume=last_checkpoint(tmp_path))
    assert (again[-1].reason, again[-1].step) == ("patience", finished.step)


def test_no_patience_trains_to_the_end(tmp_path, new_model, tokens, settings):
    assert trained(tmp_path, new_model(), tokens, settings(learning_rate=1.0))[-1].step == 30
