"""A training that goes on from any of its steps ends with the same weights, memory and metrics, bit for bit."""

import shutil

import pytest
from safetensors import safe_open

from charpipe.events import Finished, Step
from charpipe.kernels.jit.processor import this_processor
from charpipe.runs import Recorder, Run, RunInfo, read_metrics
from charpipe.training import last_checkpoint, train

STEPS, EPOCH = 24, 9
POINTS = {
    "first": 1,
    "mid-epoch": 5,
    "after evaluation": 7,
    "end of epoch": EPOCH,
    "new epoch": EPOCH + 1,
    "last": 23,
}


def new_run(folder):
    info = RunInfo(
        name=folder.name, created="", action="", corpus="", architecture="", architecture_config={},
        vocabulary_size=2, inputs={},
    )  # fmt: skip
    return Run.create(folder, info)


def go(run, model, tokens, settings, stop_at=None):
    """Train the run from where it stands, to `stop_at` or its end."""
    recorder, events = Recorder(run), []
    resume = last_checkpoint(run.checkpoints)
    recorder.rewind(int(resume.name[5:]) if resume else 0, resume)
    for event in train(
        model,
        tokens[:1200],
        settings,
        validation=tokens[1200:1500],
        checkpoints=run.checkpoints,
        resume=resume,
        stop=lambda: any(isinstance(event, Step) and event.step == stop_at for event in events),
    ):
        events.append(event)
        recorder(event)
    assert isinstance(events[-1], Finished)
    return events


def kept(run):
    """Every tensor's bytes, and every metric that is no time."""
    last, found = last_checkpoint(run.checkpoints), {}
    for name in ("model.safetensors", "optimizer.safetensors"):
        with safe_open(last / name, "numpy") as file:
            found |= {f"{name} {key}": file.get_tensor(key).tobytes() for key in file.keys()}  # noqa: SIM118
    timed = ("time", "perf/chars_per_second")
    lines = [
        {key: value for key, value in line.items() if key not in timed}
        for line in read_metrics(run.metrics_file)
    ]
    return {"at": last.name, "metrics": lines, **found}


@pytest.fixture
def chosen(settings):
    def make(**values):
        # 1,199 transitions make 9 steps of 8 lanes by 16 tokens an epoch
        return settings(steps=STEPS, batch_size=8, window=16, keep_checkpoints=STEPS + 1, **values)

    return make


OPTIMISERS = {
    "sgd": {"momentum": 0.5, "learning_rate": 0.1},
    "rmsprop": {"momentum": 0.5},
    "adagrad": {},
    "adam": {"clip_by": "value"},
    "adamw": {"weight_decay": 0.1},
}


@pytest.mark.parametrize("engine", ["fast", "plain"])
@pytest.mark.parametrize("optimizer", OPTIMISERS)
def test_from_every_kind_of_point(tmp_path, new_model, tokens, chosen, engine, optimizer):
    values = {"engine": engine, "optimizer": optimizer, **OPTIMISERS[optimizer]}
    whole = new_run(tmp_path / "whole")
    go(whole, new_model(), tokens, chosen(**values, checkpoint_every=1))
    wanted = kept(whole)
    for name, point in POINTS.items():
        part = Run(tmp_path / name)
        shutil.copytree(whole.folder, part.folder)
        for later in range(point + 1, STEPS + 1):
            shutil.rmtree(part.checkpoints / f"step-{later:08d}")
        events = go(part, new_model(seed=99), tokens, chosen(**values))
        assert [event.step for event in events if isinstance(event, Step)] == list(
            range(point + 1, STEPS + 1)
        )
        assert kept(part) == wanted, name


@pytest.mark.parametrize("engine", ["fast", "plain"])
@pytest.mark.parametrize("architecture", ["rnn", "gru"])
def test_stopped_again_and_again(tmp_path, new_model, tokens, chosen, engine, architecture):
    here = this_processor()
    if engine == "fast" and not (here and here.bfloat16):
        pytest.skip("this processor multiplies no bfloat16")
    values = {"engine": engine, "precision": "bfloat16"}
    whole, parts = new_run(tmp_path / "whole"), new_run(tmp_path / "parts")
    go(whole, new_model(architecture), tokens, chosen(**values))
    for number, stop_at in enumerate((*POINTS.values(), None)):
        events = go(
            parts, new_model(architecture, seed=99 if number else 1), tokens, chosen(**values), stop_at
        )
        assert events[-1].step == (stop_at or STEPS)
    assert kept(parts) == kept(whole)
    assert parts.status.last["step"] == whole.status.last["step"] == STEPS


def test_from_step_nought(tmp_path, new_model, tokens, chosen):
    whole, part = new_run(tmp_path / "whole"), new_run(tmp_path / "part")
    go(whole, new_model(), tokens, chosen())
    go(part, new_model(), tokens, chosen().model_copy(update={"steps": 0}))
    assert last_checkpoint(part.checkpoints).name == "step-00000000"
    go(part, new_model(seed=99), tokens, chosen())
    assert kept(part) == kept(whole)


def test_damaged_later_checkpoints_do_not_push_the_new_ones_out(tmp_path, new_model, tokens, chosen):
    run, few = new_run(tmp_path / "run"), chosen().model_copy(update={"keep_checkpoints": 1})
    go(run, new_model(), tokens, chosen(checkpoint_every=4))
    wanted = kept(run)
    for damaged in (16, 20, 21, 24):
        (run.checkpoints / f"step-{damaged:08d}" / "manifest.json").write_text("{}")
    go(run, new_model(), tokens, few, stop_at=15)
    assert last_checkpoint(run.checkpoints).name == "step-00000015"
    go(run, new_model(), tokens, few)
    assert kept(run) == wanted
