"""Interrupted and resumed equals uninterrupted, bit for bit on a CPU, wherever the interruption falls."""

import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from charpipe.errors import RunError
from charpipe.events import Checkpointed, Evaluated, Finished, Notice, Step
from charpipe.models.card import read_json
from charpipe.training import best_checkpoint, last_checkpoint, train


def run(folder, model, tokens, settings, *, stop_at=None, resume=None):
    """All events of a training, stopped after `stop_at` updates."""
    events = []

    def stop():
        return any(isinstance(event, Step) and event.step == stop_at for event in events)

    for event in train(
        model, tokens[300:], settings, validation=tokens[:300], checkpoints=folder, resume=resume, stop=stop
    ):
        events.append(event)
    return events


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def losses(events):
    return {event.step: float(event.loss) for event in of(Step, events)}


def scores(events):
    kept = ("train/loss", "val/loss")
    return {event.step: {name: event.metrics[name] for name in kept} for event in of(Evaluated, events)}


def assert_same_files(first, second):
    for name in ("model.safetensors", "optimizer.safetensors"):
        one, other = load_file(first / name), load_file(second / name)
        assert one.keys() == other.keys()
        for key in one:
            assert torch.equal(one[key], other[key]), key


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop", "sgd", "adagrad"])
def test_resumed_twice_equals_uninterrupted(tmp_path, new_model, tokens, settings, optimizer, precision):
    chosen = settings(optimizer=optimizer, precision=precision, momentum=0.5 if optimizer == "sgd" else 0.0)
    whole = run(tmp_path / "whole", new_model(), tokens, chosen)
    parts = run(tmp_path / "parts", new_model(), tokens, chosen, stop_at=7)
    assert of(Finished, parts)[0].reason == "interrupted"
    for stop_at in (16, None):
        parts += run(
            tmp_path / "parts",
            new_model(seed=99),
            tokens,
            chosen,
            stop_at=stop_at,
            resume=last_checkpoint(tmp_path / "parts"),
        )
    assert losses(parts) == losses(whole)
    assert scores(parts) == scores(whole)
    assert_same_files(last_checkpoint(tmp_path / "parts"), last_checkpoint(tmp_path / "whole"))


@pytest.mark.parametrize(
    "values",
    [
        {"average": 0.9},
        {"average": 0.99, "optimizer": "rmsprop", "schedule": "one-cycle", "loss": "sum", "clip_by": "value"},
        {"schedule": "one-cycle", "optimizer": "sgd", "learning_rate": 0.5},
        {"schedule": "by-epoch", "epoch_decay_after": 0, "optimizer": "adagrad", "clip_by": "value"},
        {"patience": 1, "evaluate_every": 2, "optimizer": "adam", "weight_decay": 0.1},
    ],
    ids=str,
)
def test_every_setting_resumes_bit_for_bit(tmp_path, new_model, tokens, settings, values):
    chosen = settings(**values)
    whole = run(tmp_path / "whole", new_model(), tokens, chosen)
    parts = run(tmp_path / "parts", new_model(), tokens, chosen, stop_at=3)
    for stop_at in (11, None):
        last = last_checkpoint(tmp_path / "parts")
        parts += run(tmp_path / "parts", new_model(seed=99), tokens, chosen, stop_at=stop_at, resume=last)
    assert losses(parts) == losses(whole)
    assert scores(parts) == scores(whole)
    assert_same_files(last_checkpoint(tmp_path / "parts"), last_checkpoint(tmp_path / "whole"))


@pytest.mark.parametrize("engine", ["auto", "plain"])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_every_kind_of_dropout_resumes_bit_for_bit(tmp_path, new_model, tokens, settings, name, engine):
    chosen = settings(engine=engine, average=0.9, steps=12)
    kinds = {"locked_dropout": True, "recurrent_dropout": 0.3, "initialisation": "orthogonal"}
    whole = run(tmp_path / "whole", new_model(name, **kinds), tokens, chosen)
    parts = run(tmp_path / "parts", new_model(name, **kinds), tokens, chosen, stop_at=5)
    last = last_checkpoint(tmp_path / "parts")
    parts += run(tmp_path / "parts", new_model(name, seed=99, **kinds), tokens, chosen, resume=last)
    assert losses(parts) == losses(whole)
    assert_same_files(last_checkpoint(tmp_path / "parts"), last_checkpoint(tmp_path / "whole"))


@pytest.mark.parametrize("name, size, lanes", [("rnn", 100, 2), ("rnn", 200, 3), ("gru", 128, 2)])
def test_plain_layers_of_odd_shapes_resume_bit_for_bit(
    tmp_path, new_model, tokens, settings, name, size, lanes
):
    """What is read from a file must lie where a product takes it as it took what was there before."""
    chosen = settings(engine="plain", precision="float32", steps=6, batch_size=lanes)
    whole = run(tmp_path / "whole", new_model(name, hidden_size=size), tokens, chosen)
    parts = run(tmp_path / "parts", new_model(name, hidden_size=size), tokens, chosen, stop_at=3)
    last = last_checkpoint(tmp_path / "parts")
    parts += run(tmp_path / "parts", new_model(name, hidden_size=size), tokens, chosen, resume=last)
    assert losses(parts) == losses(whole)
    assert_same_files(last_checkpoint(tmp_path / "parts"), last_checkpoint(tmp_path / "whole"))


@pytest.mark.parametrize("stop_at", [1, 29])
def test_stopped_at_either_end(tmp_path, new_model, tokens, settings, stop_at):
    whole = run(tmp_path / "whole", new_model("gru"), tokens, settings())
    parts = run(tmp_path / "parts", new_model("gru"), tokens, settings(), stop_at=stop_at)
    parts += run(
        tmp_path / "parts", new_model("gru"), tokens, settings(), resume=last_checkpoint(tmp_path / "parts")
    )
    assert losses(parts) == losses(whole)
    assert_same_files(last_checkpoint(tmp_path / "parts"), last_checkpoint(tmp_path / "whole"))


def test_a_finished_training_has_nothing_left_to_do(tmp_path, new_model, tokens, settings):
    run(tmp_path, new_model(), tokens, settings())
    again = run(tmp_path, new_model(), tokens, settings(), resume=last_checkpoint(tmp_path))
    assert not of(Step, again)
    assert not of(Checkpointed, again)
    assert of(Finished, again)[0].step == 30


def test_more_steps_and_another_interval_are_accepted(tmp_path, new_model, tokens, settings):
    run(tmp_path, new_model(), tokens, settings())
    longer = settings(steps=35, evaluate_every=3)
    events = run(tmp_path, new_model(), tokens, longer, resume=last_checkpoint(tmp_path))
    assert sorted(losses(events)) == [31, 32, 33, 34, 35]


def test_other_intervals_evaluate_the_same_validation(tmp_path, new_model, tokens, settings):
    """Else the best score would be of other text than those that it is compared with."""
    held = np.tile(tokens, 4)  # longer than any evaluation here

    def evaluation_length(folder, every):
        resume = last_checkpoint(folder)
        chosen = settings(steps=every, evaluate_every=every, window=64, batch_size=32)
        list(train(new_model(), tokens, chosen, validation=held, checkpoints=folder, resume=resume))
        return read_json(last_checkpoint(folder) / "state.json")["look"]

    short = evaluation_length(tmp_path / "short", 2)
    assert evaluation_length(tmp_path / "short", 60) == short
    assert evaluation_length(tmp_path / "long", 60) > short


def test_another_budget_is_the_whole_one(tmp_path, new_model, tokens, settings):
    def steps(resume, **values):
        chosen = settings(steps=None, engine="plain", **values)
        return of(Finished, run(tmp_path, new_model(), tokens, chosen, resume=resume))[0].step

    half = steps(None, budget="1h", max_epochs=0.5)
    last = last_checkpoint(tmp_path)
    assert steps(last, budget="1h", max_epochs=0.5) == half
    assert steps(last, budget="0.001s", max_epochs=1) == half  # which is spent
    assert steps(last, budget="1h", max_epochs=1) == pytest.approx(2 * half, abs=1)


def test_another_training_is_refused_with_the_difference(tmp_path, new_model, tokens, settings):
    run(tmp_path, new_model(), tokens, settings())
    last = last_checkpoint(tmp_path)
    for model, chosen, data, said in [
        (new_model("gru"), settings(), tokens, "architecture lstm -> gru"),
        (new_model(hidden_size=13), settings(), tokens, "hidden_size 12 -> 13"),
        (new_model(vocabulary={"characters": ["?"]}), settings(), tokens, "another vocabulary"),
        (new_model(), settings(batch_size=5), tokens, "batch_size 4 -> 5"),
        (new_model(), settings(), tokens[:-1], "training tokens"),
    ]:
        with pytest.raises(RunError, match=said):
            run(tmp_path, model, data, chosen, resume=last)


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "no manifest"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, new_model, tokens, settings, harm):
    run(tmp_path, new_model(), tokens, settings(keep_checkpoints=5))
    last = last_checkpoint(tmp_path)
    path = last / ("manifest.json" if harm == "no manifest" else "model.safetensors")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    if harm in ("remove", "no manifest"):
        path.unlink()
    else:
        path.write_bytes(content if harm == "flip" else content[:-8])
    told = []
    before = last_checkpoint(tmp_path, told.append)
    assert before.name == "step-00000028"
    assert [(type(event), "using the previous one" in event.message) for event in told] == [(Notice, True)]
    with pytest.raises(RunError, match="damaged"):
        run(tmp_path, new_model(), tokens, settings(), resume=last)
    assert of(Finished, run(tmp_path, new_model(), tokens, settings(), resume=before))[0].step == 30
    assert last_checkpoint(tmp_path) == last


def test_that_no_checkpoint_is_whole_is_said(tmp_path, new_model, tokens, settings):
    run(tmp_path, new_model(), tokens, settings(keep_checkpoints=2))
    for folder in tmp_path.iterdir():
        (folder / "model.safetensors").write_bytes(b"")
    told = []
    assert last_checkpoint(tmp_path, told.append) is None
    assert "none is intact: training starts from step 0" in told[-1].message


def test_a_half_written_checkpoint_does_not_count(tmp_path, new_model, tokens, settings):
    run(tmp_path, new_model(), tokens, settings())
    last = last_checkpoint(tmp_path)
    shutil.copytree(last, tmp_path / ".saving-abc")
    assert last_checkpoint(tmp_path) == last


def test_the_latest_and_the_best_are_kept(tmp_path, new_model, tokens, settings):
    events = run(tmp_path, new_model(), tokens, settings(learning_rate=0.05))
    found = {step: values["val/loss"] for step, values in scores(events).items()}
    best = min(found, key=found.get)
    assert best_checkpoint(tmp_path).name == f"step-{best:08d}"
    assert {path.name for path in tmp_path.iterdir()} <= {f"step-{step:08d}" for step in (28, 30, best)}
    assert [event.step for event in of(Checkpointed, events) if event.best][-1] == best


def test_a_folder_that_cannot_be_written_is_named(tmp_path, new_model, tokens, settings):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="file"):
        run(tmp_path / "file", new_model(), tokens, settings())
