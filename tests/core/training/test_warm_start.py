"""Training that starts from another run: its weights and memory, further data, exactly resumed, or a clear refusal."""

import json

import pytest
import torch

from charpipe.errors import RunError
from charpipe.events import Evaluated, Step
from charpipe.models.card import read_json
from charpipe.training import train
from charpipe.training.batches import fit_batches
from charpipe.training.checkpoints import last_checkpoint
from charpipe.training.initialization import initialize
from charpipe.training.warm_start import WarmStartCheckpoint


def run(model, tokens, settings, folder, **more):
    return list(train(model, tokens, settings, checkpoints=folder, **more))


def losses(events):
    return [float(event.loss) for event in events if isinstance(event, Step)]


def scores(events):
    return [event.metrics["val/loss"] for event in events if isinstance(event, Evaluated)]


@pytest.fixture
def parent(new_model, tokens, settings, tmp_path):
    run(new_model(), tokens, settings(), tmp_path / "parent", validation=tokens)
    return last_checkpoint(tmp_path / "parent")


def test_it_begins_with_the_parents_weights_memory_and_further_data(
    parent, new_model, tokens, settings
) -> None:
    setup, state = initialize(new_model(seed=9), tokens, settings(), None, WarmStartCheckpoint(parent, 30))
    _, same = initialize(new_model(), tokens, settings(), parent)
    for name, tensor in same.network.state_dict().items():
        assert torch.equal(state.network.state_dict()[name], tensor)
    mine, theirs = state.optimizer.state_dict()["state"], same.optimizer.state_dict()["state"]
    assert all(torch.equal(mine[at][key], theirs[at][key]) for at in theirs for key in theirs[at])
    assert (state.step, setup.batches.offset) == (0, 30)
    batches = fit_batches(tokens, 4, 8, 1)
    assert torch.equal(setup.batches.read(0)[0], batches.read(30)[0])


def test_a_warm_run_is_better_from_its_start(parent, new_model, tokens, settings, tmp_path) -> None:
    cold = losses(run(new_model(seed=9), tokens, settings(), tmp_path / "cold"))
    warm = losses(
        run(
            new_model(seed=9),
            tokens,
            settings(),
            tmp_path / "warm",
            warm_start=WarmStartCheckpoint(parent, 30),
        )
    )
    assert sum(warm) < sum(cold)
    assert warm[0] < cold[0]


def test_interrupted_and_resumed_it_equals_itself(parent, new_model, tokens, settings, tmp_path) -> None:
    warm_start = WarmStartCheckpoint(parent, 30)
    whole = run(
        new_model(seed=9), tokens, settings(), tmp_path / "whole", validation=tokens, warm_start=warm_start
    )
    stops = iter([False] * 11 + [True])
    part = run(
        new_model(seed=9),
        tokens,
        settings(),
        tmp_path / "part",
        validation=tokens,
        warm_start=warm_start,
        stop=lambda: next(stops),
    )
    resume = last_checkpoint(tmp_path / "part")
    rest = run(new_model(seed=9), tokens, settings(), tmp_path / "part", validation=tokens, resume=resume)
    assert losses(part) + losses(rest) == losses(whole)
    saved = read_json(last_checkpoint(tmp_path / "part") / "state.json")
    assert (saved["offset"], saved["step"]) == (30, 30)
    assert scores(rest) == scores(whole)[-len(scores(rest)) :]


def test_another_optimiser_starts_without_memory(parent, new_model, tokens, settings) -> None:
    warm_start = WarmStartCheckpoint(parent, 30)
    _, state = initialize(new_model(), tokens, settings(optimizer="sgd"), None, warm_start)
    assert not state.optimizer.state_dict()["state"]


def test_without_momentum_there_is_none_to_begin_with(new_model, tokens, settings, tmp_path) -> None:
    """One-cycle gives RMSProp momentum, of which a run without it remembers nothing."""
    chosen = settings(optimizer="rmsprop", learning_rate=1e-3)
    run(new_model(), tokens, chosen, tmp_path / "one")
    warm_start = WarmStartCheckpoint(last_checkpoint(tmp_path / "one"), 30)
    assert initialize(new_model(), tokens, chosen, None, warm_start)[1].optimizer.state_dict()["state"]
    turned = chosen.model_copy(update={"schedule": "one-cycle"})
    assert len(losses(run(new_model(), tokens, turned, tmp_path / "two", warm_start=warm_start))) == 30


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"name": "gru"}, "is a lstm, not a gru"),
        ({"hidden_size": 16}, "another size"),
        ({"vocabulary": {"characters": "xyz"}}, "another vocabulary"),
    ],
)
def test_what_does_not_fit_is_refused(parent, new_model, tokens, settings, other, message) -> None:
    with pytest.raises(RunError, match=message):
        initialize(new_model(**other), tokens, settings(), None, WarmStartCheckpoint(parent, 30))


def test_a_damaged_parent_is_refused(parent, new_model, tokens, settings) -> None:
    path = parent / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match="damaged"):
        initialize(new_model(), tokens, settings(), None, WarmStartCheckpoint(parent, 30))


def test_the_vocabulary_grows_at_its_end(new_model, tokens, settings, tmp_path, letters) -> None:
    old = {"tokenizer": "char", "characters": "".join(letters.labels), "nibbles": False}
    run(new_model(vocabulary=old), tokens, settings(), tmp_path / "one")
    parent = last_checkpoint(tmp_path / "one")
    new = {**old, "characters": old["characters"] + "éß"}
    child = new_model(vocabulary=new, size=letters.size + 2)
    first = losses(
        run(child, tokens, settings(), tmp_path / "two", warm_start=WarmStartCheckpoint(parent, 30))
    )[0]
    last = losses(
        run(new_model(vocabulary=old), tokens, settings(steps=31), tmp_path / "one", resume=parent)
    )[-1]
    assert first == pytest.approx(last, abs=0.4)
    assert (
        json.loads((last_checkpoint(tmp_path / "two") / "config.json").read_text())["vocabulary_size"]
        == letters.size + 2
    )
    for wrong in ({**new, "characters": "é" + new["characters"]}, {**new, "nibbles": True}):
        with pytest.raises(RunError, match="does not extend"):
            initialize(
                new_model(vocabulary=wrong, size=letters.size + 3),
                tokens,
                settings(),
                None,
                WarmStartCheckpoint(parent, 30),
            )
