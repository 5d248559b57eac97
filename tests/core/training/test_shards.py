"""A batch divided into shards, in one process."""

import json

import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from torch import nn

from charpipe.config.settings.training import TrainConfig
from charpipe.errors import RunError, UsageError
from charpipe.events import Step
from charpipe.models import Model
from charpipe.training import last_checkpoint, train
from charpipe.training.batches import fit_batches
from charpipe.training.engines import check_capturable
from charpipe.training.group import Group
from charpipe.training.plan import Plan


def losses(folder, model, tokens, settings, **rest):
    events = train(model, tokens, settings, checkpoints=folder, **rest)
    return [float(event.loss) for event in events if isinstance(event, Step)]


def weights(network):
    return [values.detach().clone() for values in network.parameters()]


def equal(some, others):
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


class Odd(nn.Module):
    """A network that is no cell. `kind` says what is odd about it."""

    def __init__(self, size, kind):
        super().__init__()
        self.kind, self.norm = kind, nn.BatchNorm1d(size)
        self.head, self.unused = nn.Linear(size, size), nn.Linear(size, size)

    def initial_state(self, batch_size):
        shape = (batch_size, 1, 1) if self.kind == "batch first" else (1, batch_size, 1)
        return {"steps": torch.zeros(shape)}

    def forward(self, ids, state):
        values = nn.functional.one_hot(ids, self.head.in_features).float()
        if self.kind == "batch normalization":
            values = self.norm(values.flatten(0, 1)).view_as(values)
        return self.head(values), {"steps": state["steps"] + 1}


@pytest.fixture
def odd_model(letters, new_model):
    return lambda kind: Model(
        Odd(letters.size, kind), "odd", new_model().config, {"characters": letters.labels}, letters.size
    )


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_shards_train_as_one_batch_does_up_to_rounding(tmp_path, new_model, tokens, settings, name):
    """With the engine `fast` the dropout masks are those of the whole batch."""
    chosen = {"engine": "fast", "precision": "float32", "batch_size": 8, "steps": 15}
    model = new_model(name, dropout=0.3, recurrent_dropout=0.2)
    whole = losses(tmp_path / "1", model, tokens, settings(**chosen))
    for count in (2, 4, 8):
        model = new_model(name, dropout=0.3, recurrent_dropout=0.2)
        found = losses(tmp_path / str(count), model, tokens, settings(**chosen, shards=count))
        assert found == pytest.approx(whole, rel=1e-4)


def test_locked_dropout_masks_are_those_of_the_whole_batch(tmp_path, new_model, tokens, settings):
    chosen = {"engine": "fast", "precision": "float32", "batch_size": 8, "steps": 15}
    found = [
        losses(
            tmp_path / str(count),
            new_model(dropout=0.4, locked_dropout=True),
            tokens,
            settings(**chosen, shards=count),
        )
        for count in (1, 4)
    ]
    assert found[1] == pytest.approx(found[0], rel=1e-4)


def test_plain_shards_have_masks_of_their_own(tmp_path, new_model, tokens, settings):
    chosen = {"engine": "plain", "precision": "float32", "batch_size": 8, "steps": 5}
    without = [
        losses(
            tmp_path / f"{dropout} {count}",
            new_model(dropout=dropout),
            tokens,
            settings(**chosen, shards=count),
        )
        for dropout in (0.0, 0.4)
        for count in (1, 4)
    ]
    assert without[1] == pytest.approx(without[0], rel=1e-4)
    assert without[3] != pytest.approx(without[2], rel=1e-4)


@pytest.mark.parametrize(
    "values",
    [
        {"engine": "fast", "precision": "float32", "average": 0.9},
        {"engine": "plain", "precision": "bfloat16"},
        {"engine": "plain", "precision": "float32", "loss": "sum", "clip": 5.0, "clip_by": "value"},
        {"engine": "fast", "precision": "float32", "schedule": "one-cycle", "optimizer": "sgd"},
    ],
)
def test_resumed_training_equals_uninterrupted_one(tmp_path, new_model, tokens, settings, values):
    chosen = settings(**values, batch_size=8, steps=14, shards=4)
    model = new_model()
    whole = losses(tmp_path / "whole", model, tokens, chosen)
    parts, folder = [], tmp_path / "parts"
    for number, stop_at in enumerate((3, 9, 14)):
        part = new_model(seed=99 if number else 1)
        seen, more = [], stop_at - len(parts)
        for event in train(
            part,
            tokens,
            chosen,
            checkpoints=folder,
            resume=last_checkpoint(folder) if number else None,
            stop=lambda seen=seen, more=more: len(seen) >= more,
        ):
            if isinstance(event, Step):
                seen.append(float(event.loss))
        parts += seen
    assert parts == whole
    assert equal(weights(part.network), weights(model.network))


def test_checkpoint_holds_the_state_of_all_streams(tmp_path, new_model, tokens, settings):
    losses(tmp_path, new_model(), tokens, settings(batch_size=8, shards=4, steps=5, engine="fast"))
    with safe_open(last_checkpoint(tmp_path) / "optimizer.safetensors", "pt") as file:
        carried = file.get_tensor("carried/hidden")
    assert list(carried.shape) == [2, 8, 12]
    assert carried.abs().sum((0, 2)).min() > 0  # no stream was left out


def test_replayed_plan_of_a_budget_gives_the_same_losses(tmp_path, new_model, tokens, settings):
    """Measuring the budget changes nothing of the training that follows."""
    chosen = settings(steps=None, budget="0.3s", max_epochs=1, batch_size=8, shards=2, engine="fast")
    measured = losses(tmp_path / "a", new_model(), tokens, chosen)
    state = json.loads((last_checkpoint(tmp_path / "a") / "state.json").read_text())
    plan = Plan.from_json(state["plan"])
    assert losses(tmp_path / "b", new_model(), tokens, chosen, plan=plan) == measured


def test_resuming_with_other_shards_is_refused(tmp_path, new_model, tokens, settings):
    losses(tmp_path, new_model(), tokens, settings(batch_size=8, shards=4, steps=2))
    with pytest.raises(RunError, match="shards 4 -> 2"):
        losses(
            tmp_path,
            new_model(),
            tokens,
            settings(batch_size=8, shards=2, steps=4),
            resume=last_checkpoint(tmp_path),
        )


def test_parameters_without_a_gradient_stay_as_they_are(tmp_path, odd_model, tokens, settings):
    model = odd_model("usual")
    before = model.network.unused.weight.detach().clone()
    losses(tmp_path, model, tokens, settings(batch_size=4, shards=2, steps=3, weight_decay=0.5))
    assert torch.equal(model.network.unused.weight, before)


@pytest.mark.parametrize(
    ("kind", "message"),
    [("batch first", "streams in dimension 1, and 'steps' of the architecture odd is"),
     ("batch normalization", "'norm.running_mean' of the architecture odd changes from shard to shard")],
)  # fmt: skip
def test_network_whose_shards_are_not_independent_is_refused(
    tmp_path, odd_model, tokens, settings, kind, message
):
    with pytest.raises(UsageError, match=message):
        losses(tmp_path, odd_model(kind), tokens, settings(batch_size=4, shards=2, steps=3))
    assert losses(tmp_path / "one", odd_model(kind), tokens, settings(batch_size=4, steps=2))


def test_shards_divide_the_batch_size():
    with pytest.raises(ValidationError, match=r"it must divide train.batch_size, 32"):
        TrainConfig(shards=5)
    assert TrainConfig(shards=5, batch_size=35).shards == 5


def test_captured_update_has_no_shards():
    with pytest.raises(UsageError, match=r"not of 2 shards \(train.shards\)"):
        check_capturable(TrainConfig(shards=2), "bfloat16")


def test_small_corpus_keeps_equal_shards(tokens):
    for length in (9, 40, 100, 1000, len(tokens)):
        batches = fit_batches(tokens[:length], 32, 64, seed=1, shards=8)
        assert batches.batch_size % 8 == 0
        assert batches.steps_per_epoch >= 1
    with pytest.raises(UsageError, match="8 tokens, too few for 8 shards"):
        fit_batches(tokens[:8], 32, 64, seed=1, shards=8)


def test_identity_names_shards_only_where_there_are_several():
    everything = TrainConfig().model_dump(mode="json")
    assert TrainConfig().identity() == {key: value for key, value in everything.items() if key != "shards"}
    assert TrainConfig(shards=4).identity(["seed"]) == {
        key: 4 if key == "shards" else value for key, value in everything.items() if key != "seed"
    }


@pytest.mark.parametrize(
    ("workers", "shards", "message"),
    [
        (2, 1, "there is only one; nothing was done; add --set train.shards=2"),
        (4, 2, r"4 workers are more than the 2 shards .*start at most 2"),
        (4, 6, r"6 shards .* cannot be divided equally among 4 workers; .*start 1, 2, 3 or 6"),
    ],
)
def test_workers_divide_the_shards(workers, shards, message):
    group = Group()
    group.size = workers
    with pytest.raises(UsageError, match=message):
        group.check(shards)
    group.check(workers * 3)
