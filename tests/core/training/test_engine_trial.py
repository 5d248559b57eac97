"""Which engine `auto` takes where only a trial can tell."""

import math

import pytest
import torch

from charpipe.events import Notice, TrainingStarted
from charpipe.models.engine import obstacle, trial
from charpipe.training import train


class Clock:
    """Time that passes only as updates take it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def update(self, *seconds):
        left = iter(seconds)

        def update():
            self.now += next(left)

        return update


def test_the_first_update_is_not_timed_and_the_median_counts():
    clock = Clock()
    updates = {"fast": clock.update(9, 1, 1, 5), "plain": clock.update(1, 2, 2, 2)}
    assert trial.compare(updates, math.inf, clock) == {"fast": 1, "plain": 2}


def test_a_trial_ends_when_its_time_is_spent():
    clock = Clock()
    updates = {"fast": clock.update(1), "plain": clock.update(1)}
    assert trial.compare(updates, 1.5, clock) == {}


@pytest.mark.parametrize(
    ("fast", "plain", "engine"),
    [(1.0, 1.0, "fast"), (1.0, 0.9, "fast"), (1.0, 0.5, "plain"), (1.0, 20.0, "fast")],
)
def test_fast_is_preferred_unless_plain_is_clearly_faster(fast, plain, engine):
    assert trial.prefer({"fast": fast, "plain": plain})[0] == engine


@pytest.mark.parametrize("preferred", ["fast", "plain"])
def test_auto_tries_both_once_remembers_and_tells(
    tmp_path, monkeypatch, new_model, tokens, settings, preferred
):
    if obstacle(new_model("lstm", dropout=0).network, torch.device("cpu"), "float32"):
        pytest.skip("the fast engine cannot run here")
    monkeypatch.setattr("charpipe.training.setup.is_uncertain", lambda *_: True)
    monkeypatch.setattr(trial, "cache_folder", lambda: tmp_path)
    times = {"fast": 2.0, "plain": 1.0} if preferred == "plain" else {"fast": 1.0, "plain": 20.0}
    tried = []
    monkeypatch.setattr(trial, "compare", lambda updates, _: tried.append(sorted(updates)) or times)
    chosen = settings(steps=400, precision="float32", batch_size=4, window=8, engine="auto")

    def begun():
        events = []
        stream = train(new_model("lstm", dropout=0), tokens, chosen, checkpoints=tmp_path / "c")
        for event in stream:
            events.append(event)
            if isinstance(event, TrainingStarted):
                stream.close()
        return events

    for _ in range(2):
        events = begun()
        assert events[-1].engine == preferred
        assert any(
            isinstance(e, Notice) and f"engine {preferred}: an update took" in e.message for e in events
        )
    assert tried == [["fast", "plain"]]


def test_a_real_trial_leaves_network_and_dice_as_they_are(tmp_path, monkeypatch, new_model):
    network = new_model("gru", dropout=0).network
    if obstacle(network, torch.device("cpu"), "float32"):
        pytest.skip("the fast engine cannot run here")
    monkeypatch.setattr(trial, "cache_folder", lambda: tmp_path)
    before, dice = [p.clone() for p in network.parameters()], torch.get_rng_state()
    ids = torch.zeros(8, 4, dtype=torch.int64)
    window = (ids, ids, network.initial_state(4))
    engine, reason = trial.choose_by_trial(network, "float32", 2, window, math.inf)
    assert engine in ("fast", "plain")
    assert "ms with fast" in reason
    assert torch.equal(dice, torch.get_rng_state())
    assert all(
        torch.equal(a, b) and b.grad is None for a, b in zip(before, network.parameters(), strict=True)
    )
