"""Training that starts from another run: its weights and memory, further data, exactly resumed, or a clear refusal."""

import json

import pytest
import torch

from charpipe.errors import RunError
from charpipe.events import Evaluated, Step
from charpipe.training import train
from charpipe.training.checkpoints import last_checkpoint
from charpipe.training.job import prepare
from charpipe.training.lanes import fit_lanes
from charpipe.training.start import Start, steps_read


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
    assert steps_read(parent) == 30
    job = prepare(new_model(seed=9), tokens, settings(), None, Start(parent, 30))
    same = prepare(new_model(), tokens, settings(), parent)
    for name, tensor in same.model.network.state_dict().items():
        assert torch.equal(job.model.network.state_dict()[name], tensor)
    mine, theirs = job.optimizer.state_dict()["state"], same.optimizer.state_dict()["state"]
    assert all(torch.equal(mine[at][key], theirs[at][key]) for at in theirs for key in theirs[at])
    assert (job.step, job.lanes.offset) == (0, 30)
    lanes = fit_lanes(tokens, 4, 8, 1)
    assert torch.equal(job.lanes.read(0)[0], lanes.read(30)[0])


def test_a_warm_run_is_better_from_its_start(parent, new_model, tokens, settings, tmp_path) -> None:
    cold = losses(run(new_model(seed=9), tokens, settings(), tmp_path / "cold"))
    warm = losses(run(new_model(seed=9), tokens, settings(), tmp_path / "warm", start=Start(parent, 30)))
    assert sum(warm) < sum(cold)
    assert warm[0] < cold[0]


def test_interrupted_and_resumed_it_equals_itself(parent, new_model, tokens, settings, tmp_path) -> None:
    start = Start(parent, 30)
    whole = run(new_model(seed=9), tokens, settings(), tmp_path / "whole", validation=tokens, start=start)
    stops = iter([False] * 11 + [True])
    part = run(
        new_model(seed=9),
        tokens,
        settings(),
        tmp_path / "part",
        validation=tokens,
        start=start,
        stop=lambda: next(stops),
    )
    resume = last_checkpoint(tmp_path / "part")
    rest = run(new_model(seed=9), tokens, settings(), tmp_path / "part", validation=tokens, resume=resume)
    assert losses(part) + losses(rest) == losses(whole)
    assert steps_read(last_checkpoint(tmp_path / "part")) == 60
    assert scores(rest) == scores(whole)[-len(scores(rest)) :]


def test_another_optimiser_starts_without_memory(parent, new_model, tokens, settings) -> None:
    job = prepare(new_model(), tokens, settings(optimizer="sgd"), None, Start(parent, 30))
    assert not job.optimizer.state_dict()["state"]


def test_without_momentum_there_is_none_to_begin_with(new_model, tokens, settings, tmp_path) -> None:
    """One-cycle gives RMSProp momentum, of which a run without it remembers nothing."""
    chosen = settings(optimizer="rmsprop", learning_rate=1e-3)
    run(new_model(), tokens, chosen, tmp_path / "one")
    start = Start(last_checkpoint(tmp_path / "one"), 30)
    assert prepare(new_model(), tokens, chosen, None, start).optimizer.state_dict()["state"]
    turned = chosen.model_copy(update={"schedule": "one-cycle"})
    assert len(losses(run(new_model(), tokens, turned, tmp_path / "two", start=start))) == 30


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
        prepare(new_model(**other), tokens, settings(), None, Start(parent, 30))


def test_a_damaged_parent_is_refused(parent, new_model, tokens, settings) -> None:
    path = parent / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunError, match="damaged"):
        prepare(new_model(), tokens, settings(), None, Start(parent, 30))


def test_the_vocabulary_grows_at_its_end(new_model, tokens, settings, tmp_path, letters) -> None:
    old = {"tokenizer": "char", "characters": "".join(letters.labels), "nibbles": False}
    run(new_model(vocabulary=old), tokens, settings(), tmp_path / "one")
    parent = last_checkpoint(tmp_path / "one")
    new = {**old, "characters": old["characters"] + "éß"}
    child = new_model(vocabulary=new, size=letters.size + 2)
    first = losses(run(child, tokens, settings(), tmp_path / "two", start=Start(parent, 30)))[0]
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
            prepare(
                new_model(vocabulary=wrong, size=letters.size + 3),
                tokens,
                settings(),
                None,
                Start(parent, 30),
            )
