"""What the loop says, decides and refuses."""

import time

import numpy as np
import pytest
import torch

from charpipe.errors import TrainingError, UsageError
from charpipe.evaluation import predictions
from charpipe.events import (
    Checkpointed,
    Evaluated,
    Finished,
    Notice,
    PlanRevised,
    Sampled,
    Step,
    TrainingStarted,
)
from charpipe.models import build_model
from charpipe.models.card import read_json
from charpipe.training import TrainConfig, last_checkpoint, train
from charpipe.training.budget import MIN_MEASURED, steps_within
from charpipe.training.checkpoints import plan_of
from charpipe_rnn import charpipe_architectures

(RNN,) = charpipe_architectures()


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def test_the_events_in_their_order(tmp_path, new_model, tokens, letters, settings):
    events = list(
        train(
            new_model(),
            tokens[300:],
            settings(),
            validation=tokens[:300],
            encoding=letters,
            checkpoints=tmp_path,
            run="r",
        )
    )
    (started,) = of(TrainingStarted, events)
    assert (started.run, started.steps, started.model, started.device) == ("r", 30, "lstm 2x12", "cpu")
    assert [event.step for event in of(Step, events)] == list(range(1, 31))
    assert all(event.tokens == 32 for event in of(Step, events))
    assert [event.step for event in of(Evaluated, events)] == [7, 14, 21, 28, 30]
    assert {"train/loss", "val/loss", "perf/chars_per_second"} == set(of(Evaluated, events)[0].metrics)
    assert {len(event.text) for event in of(Sampled, events)} == {200}  # when is up to the clock
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "steps"
    assert of(Checkpointed, events)[-1].step == 30


def test_it_learns(tmp_path, new_model, tokens, settings):
    chosen = settings(steps=150, learning_rate=0.02, evaluate_every=150)
    events = list(train(new_model(dropout=0), tokens, chosen, checkpoints=tmp_path))
    losses = [float(event.loss) for event in of(Step, events)]
    assert losses[0] == pytest.approx(np.log(28), rel=0.1)
    assert losses[-1] < 1.5


def test_what_happens_between_steps_changes_nothing(tmp_path, new_model, tokens, letters, settings):
    def losses(folder, disturb, **values):
        found = []
        for event in train(
            new_model(), tokens, settings(**values), validation=tokens, encoding=letters, checkpoints=folder
        ):
            if isinstance(event, Step):
                found.append(float(event.loss))
            if disturb:
                torch.rand(3)
        return found

    quiet = losses(tmp_path / "quiet", False)
    assert losses(tmp_path / "noisy", True, evaluate_every=2, sample_every=3, checkpoint_every=5) == quiet


def test_a_budget_is_a_number_of_steps(tmp_path, new_model, tokens, settings):
    chosen = settings(steps=None, budget="1s", max_epochs=0.5)
    timed = list(train(new_model(), tokens, chosen, checkpoints=tmp_path / "a"))
    (started,), notices = of(TrainingStarted, timed), of(Notice, timed)
    assert "1s of training" in notices[0].message
    assert timed[-1].reason == "budget"
    assert 1 <= started.steps <= 43
    plan = plan_of(read_json(last_checkpoint(tmp_path / "a") / "state.json"))
    assert timed[-1].step == plan.steps <= 43  # as revised last, where the machine's speed changed meanwhile
    again = list(train(new_model(), tokens, chosen, checkpoints=tmp_path / "b", plan=plan))
    assert [float(event.loss) for event in of(Step, again)] == [
        float(event.loss) for event in of(Step, timed)
    ]
    assert of(PlanRevised, again) == of(PlanRevised, timed)


def test_what_listeners_prepare_is_no_training(tmp_path, new_model, tokens, settings, monkeypatch):
    """A tracker that takes long to begin does not use the budget up."""
    clock, late = time.perf_counter, [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + late[0])
    chosen = settings(steps=None, budget="1h", max_epochs=0.5, engine="plain")
    for event in train(new_model(), tokens, chosen, checkpoints=tmp_path):
        if isinstance(event, TrainingStarted):
            steps, late[0] = event.steps, 7200.0
    assert (event.step, event.reason) == (steps, "budget")
    assert event.seconds < 3600


@pytest.mark.parametrize("preset", [{"steps": 30}, {"steps": None, "budget": "10h"}], ids=str)
def test_a_stop_before_the_first_step_leaves_nothing(tmp_path, new_model, tokens, settings, preset):
    events = list(train(new_model(), tokens, settings(**preset), checkpoints=tmp_path, stop=lambda: True))
    assert [type(event) for event in events if not isinstance(event, Notice)] == [TrainingStarted, Finished]
    assert (events[-1].step, events[-1].reason) == (0, "interrupted")
    assert not any(tmp_path.iterdir())


def test_a_stop_ends_the_measuring():
    calls = []
    steps_within(1e6, calls.append, 10**9, lambda: len(calls) == 2)
    assert calls == [0, 1]


def test_measuring_ends_where_the_passes_are_the_bound():
    calls = []
    assert steps_within(1e6, calls.append, 50) == 50
    assert len(calls) == MIN_MEASURED


@pytest.mark.parametrize("held", [0, 300])
def test_patience_without_validation_is_said_to_be_none(tmp_path, new_model, tokens, settings, held):
    chosen = settings(patience=3)
    events = list(train(new_model(), tokens, chosen, validation=tokens[:held], checkpoints=tmp_path))
    said = [event.message for event in of(Notice, events) if "train.patience cannot" in event.message]
    assert len(said) == (0 if held else 1)


def test_no_steps_still_leave_a_model(tmp_path, new_model, tokens, settings):
    events = list(train(new_model(), tokens, settings(steps=0), checkpoints=tmp_path))
    assert of(Checkpointed, events)[0].step == 0
    assert events[-1].step == 0


def test_hello_is_learnt_with_three_units(tmp_path):
    letters = "ehlo"
    tokens = np.array([letters.index(letter) for letter in "hello"], dtype=np.uint8)
    model = build_model(RNN, RNN.config(hidden_size=3), {}, 4, seed=1)
    events = list(train(model, tokens, TrainConfig(device="cpu"), checkpoints=tmp_path))
    assert "too few" in of(Notice, events)[0].message

    class Hello:
        size, labels = 4, letters

        def encode(self, text):
            return np.array([letters.index(letter) for letter in text], dtype=np.uint8)

        def decoder(self):
            return self

        def decode(self, ids, final=False):
            return "".join(letters[number] for number in ids)

    found = predictions(model.predictor(), Hello(), "hell")
    assert [prediction.prefix for prediction in found] == ["h", "he", "hel", "hell"]
    assert [prediction.likeliest[0][0] for prediction in found] == list("ello")
    assert min(prediction.likeliest[0][1] for prediction in found) > 0.9


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_learn_is_refused(tmp_path, new_model, settings, count):
    with pytest.raises(UsageError, match="at least two"):
        list(train(new_model(), np.zeros(count, np.uint8), settings(), checkpoints=tmp_path))


@pytest.mark.parametrize("count", [2, 3, 40])
def test_a_tiny_corpus_trains(tmp_path, new_model, tokens, settings, count):
    events = list(
        train(new_model(), tokens[:count], settings(batch_size=64, window=64), checkpoints=tmp_path)
    )
    assert events[-1].step == 30
    assert "too few" in of(Notice, events)[0].message


def test_a_loss_that_is_not_finite_stops_it(tmp_path, new_model, tokens, settings):
    model = new_model()
    with torch.no_grad():
        model.network.head.bias[0] = torch.nan
    with pytest.raises(TrainingError, match="learning_rate="):
        list(train(model, tokens, settings(), checkpoints=tmp_path))


@pytest.mark.parametrize("validated", [True, False])
def test_weights_that_are_not_finite_are_never_saved(tmp_path, new_model, tokens, settings, validated):
    """The last update itself may ruin the weights, after a loss that was still a number."""
    model = new_model()
    chosen = settings(steps=1, clip=0, learning_rate=100, optimizer="sgd", weight_decay=10, engine="plain")
    model.network.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(TrainingError, match="not finite at step 1"):
        list(train(model, tokens, chosen, validation=tokens if validated else None, checkpoints=tmp_path))
    assert not list(tmp_path.glob("step-*"))


def test_read_only_and_wide_tokens(tmp_path, new_model, tokens, settings):
    np.save(tmp_path / "tokens.npy", tokens.astype(np.uint16))
    mapped = np.load(tmp_path / "tokens.npy", mmap_mode="r")
    one = list(train(new_model(), mapped, settings(steps=3), checkpoints=tmp_path / "a"))
    two = list(train(new_model(), tokens, settings(steps=3), checkpoints=tmp_path / "b"))
    assert [float(event.loss) for event in of(Step, one)] == [float(event.loss) for event in of(Step, two)]
