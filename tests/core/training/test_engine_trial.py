"""Which engine `auto` takes where only a trial can tell."""

import math

import pytest
import torch

from charpipe.events import Notice, TrainingStarted
from charpipe.models.engine import obstacle, trial
from charpipe.training import engines, train


def beside_others(monkeypatch, *, busy):
    """Other programs disturb every measurement, or none."""
    monkeypatch.setattr(trial.OtherPrograms, "disturb", lambda *_: busy)
    monkeypatch.setattr(trial, "disturb_now", lambda *_: busy)


class UpdateClock:
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
    clock = UpdateClock()
    updates = {"fast": clock.update(9, 1, 1, 5), "plain": clock.update(1, 2, 2, 2)}
    assert trial.compare(updates, math.inf, clock) == {"fast": 1, "plain": 2}


def test_a_trial_ends_when_its_time_is_spent():
    clock = UpdateClock()
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
    beside_others(monkeypatch, busy=False)
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
        assert events[-1].engine_reason.startswith("an update took")
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


@pytest.fixture
def choose(tmp_path, monkeypatch, new_model):
    """Choose by trial what a trial that finds these times would choose; how often one was made."""
    network = new_model("gru", dropout=0).network
    if obstacle(network, torch.device("cpu"), "float32"):
        pytest.skip("the fast engine cannot run here")
    monkeypatch.setattr(trial, "cache_folder", lambda: tmp_path)
    ids, tried = torch.zeros(8, 4, dtype=torch.int64), []

    def choose(fast, plain, *, busy=False, threads=2, found=True):
        beside_others(monkeypatch, busy=busy)
        times = {"fast": fast, "plain": plain} if found else {}
        monkeypatch.setattr(trial, "compare", lambda *_: tried.append(1) or times)
        window = (ids, ids, network.initial_state(4))
        return trial.choose_by_trial(network, "float32", threads, window, math.inf), len(tried)

    return choose


def test_choice_made_beside_others_is_made_again_once_they_ended(choose):
    (engine, reason), tries = choose(1.0, 20.0, busy=True)
    assert (engine, tries) == ("fast", 1)
    assert "while other programs used" in reason
    (engine, reason), tries = choose(2.0, 1.0, busy=True)  # as before, while they run: the same bits
    assert (engine, tries) == ("fast", 1)
    assert "when it was tried on 20" in reason
    (engine, reason), tries = choose(2.0, 1.0)
    assert (engine, tries) == ("plain", 2)
    assert "while other programs used" not in reason
    assert choose(1.0, 20.0, busy=True)[0][0] == "plain"  # and that one stays


def test_trial_that_had_no_time_is_not_remembered(choose):
    assert choose(0, 0, found=False) == (("fast", "there was no time to try both"), 1)
    assert choose(2.0, 1.0)[0][0] == "plain"


def test_trial_without_time_keeps_what_was_known(choose):
    choose(2.0, 1.0, busy=True)
    (engine, reason), tries = choose(0, 0, found=False)
    assert (engine, tries) == ("plain", 2)
    assert "when it was tried on" in reason


@pytest.mark.parametrize(
    ("variable", "value"), [("GOMP_SPINCOUNT", "100000000"), ("OMP_WAIT_POLICY", "ACTIVE")]
)
def test_layers_whose_threads_spin_for_long_are_not_taken(choose, monkeypatch, variable, value):
    for name in trial.OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    assert choose(2.0, 1.0)[0][0] == "plain"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setenv(variable, value)
    (engine, reason), tries = choose(2.0, 1.0)
    assert (engine, tries) == ("fast", 2)
    assert "spin while they wait" in reason
    assert choose(2.0, 1.0, threads=1)[0][0] == "plain"  # a single thread waits for none


@pytest.mark.parametrize("switch", ["1", "0", ""])
@pytest.mark.parametrize("refusal", [None, "the operating system refused the use of AMX registers"])
def test_user_who_asked_for_amx_is_told_why_it_is_not_used(monkeypatch, switch, refusal):
    monkeypatch.setattr(engines, "amx_refusal", lambda: refusal)
    monkeypatch.setenv("CHARPIPE_AMX", switch)
    notice = engines.amx_notice("fast")
    assert (notice is not None) == (switch == "1" and refusal is not None)
    assert notice is None or ("CHARPIPE_AMX=1" in notice.message and str(refusal) in notice.message)
    assert engines.amx_notice("plain") is None
