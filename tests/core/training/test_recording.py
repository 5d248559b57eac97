"""The recorded update: its parts on a CPU, where the same work is done each time; and, where there is a GPU, itself."""

import numpy as np
import pytest
import torch

from charpipe.errors import UsageError
from charpipe.events import Notice, Step, TrainingStarted
from charpipe.models.engine import autograd_loss_and_grad
from charpipe.models.engine.cudnn_layout import Layout, padded_forward
from charpipe.training import train
from charpipe.training.job import prepare
from charpipe.training.lanes import fit_lanes
from charpipe.training.loop import learn, update
from charpipe.training.plan import Plan
from charpipe.training.recording import Recorded, check_recordable, undone
from charpipe.training.resident import Fetched, Resident
from charpipe.training.schedules import learning_rate

CPU = torch.device("cpu")
STEPS = 25


def recorded(job, layout=None):
    """The job as the engine cuda-graphs would have it, but for the device."""
    job.engine = "cuda-graphs"
    if layout is not None:
        job.loss_and_grad = autograd_loss_and_grad(padded_forward(job.model.network, torch.float32, layout))
    return job


def run(job, steps=STEPS, first=0):
    job.plan = Plan.of(steps)
    return [float(update(job, step, 1e-2)) for step in range(first, steps)]


@pytest.fixture
def job(new_model, tokens, settings):
    """Twenty-five steps are more than a pass over these tokens."""

    def build(name="lstm", **values):
        model = new_model(name, dropout=values.pop("dropout", 0.0))
        chosen = settings(batch_size=8, window=16, engine="plain", precision="float32", **values)
        return prepare(model, tokens[:1500], chosen, None)

    return build


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_it_learns_what_the_plain_update_does(job, name, optimizer):
    plain, other = job(name, optimizer=optimizer), recorded(job(name, optimizer=optimizer), Layout(8, 8))
    assert run(other) == pytest.approx(run(plain), rel=1e-3)
    for mine, theirs in zip(other.model.network.parameters(), plain.model.network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "values", [{}, {"loss": "sum"}, {"clip_by": "value"}, {"average": 0.9}, {"dropout": 0.3}]
)
def test_without_padding_only_the_rate_is_rounded(job, values):
    """It is a float32 there, in the device's memory."""
    plain, other = job(**values), recorded(job(**values))
    assert run(other) == pytest.approx(run(plain), rel=1e-4)
    assert other.recent.tolist() == pytest.approx(plain.recent.tolist(), rel=1e-4)
    torch.testing.assert_close(other.state, plain.state, rtol=1e-2, atol=1e-3)
    for mine, theirs in zip(other.shown.parameters(), plain.shown.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3)


def test_what_a_replay_reads_and_writes_stays_in_its_place(job):
    one = recorded(job())
    run(one, 2)
    places = [
        values.data_ptr() for values in [*one.state.values(), one.recent, *one.model.network.parameters()]
    ]
    memory = [v.data_ptr() for kept in one.optimizer.state.values() for v in kept.values()]
    run(one, 20, 2)
    assert places == [
        v.data_ptr() for v in [*one.state.values(), one.recent, *one.model.network.parameters()]
    ]
    assert memory == [v.data_ptr() for kept in one.optimizer.state.values() for v in kept.values()]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("begun", [0, 3])
def test_what_warms_up_is_undone(job, optimizer, begun):
    momentum = 0.5 if optimizer == "rmsprop" else 0.0
    one, other = job(optimizer=optimizer, momentum=momentum), job(optimizer=optimizer, momentum=momentum)
    run(one, begun), run(other, begun)
    with undone(one):
        run(one, begun + 7, begun)
    for mine, theirs in zip(one.model.network.parameters(), other.model.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert one.recent.tolist() == other.recent.tolist()
    one.state = {
        name: values.clone() for name, values in other.state.items()
    }  # a recording carries it in place
    assert run(one, begun + 9, begun) == run(other, begun + 9, begun)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("place", [Resident, Fetched])
def test_tokens_on_the_device_are_those_of_the_lanes(kind, place):
    largest = min(np.iinfo(kind).max, 1 << 31)
    tokens = np.random.default_rng(1).integers(largest, size=3000, endpoint=True).astype(kind)
    lanes = fit_lanes(tokens, 6, 20, seed=3)
    found = place(lanes, CPU)
    for step in (0, 1, lanes.steps_per_epoch - 1, lanes.steps_per_epoch, 400):
        found.move_to(step)
        inputs, targets = lanes.read(step)
        assert torch.equal(found.read()[:-1], inputs)
        assert torch.equal(found.read()[1:], targets)


def test_a_run_that_was_saved_goes_on_recorded(tmp_path, new_model, tokens, settings):
    chosen = settings(steps=20, engine="plain", precision="float32", checkpoint_every=8, keep_checkpoints=9)
    events = list(train(new_model(), tokens, chosen, checkpoints=tmp_path))
    losses = [float(event.loss) for event in events if isinstance(event, Step)]
    one = recorded(prepare(new_model(seed=9), tokens, chosen, tmp_path / "step-00000008"))
    found = [float(update(one, step, learning_rate(chosen, step, 20))) for step in range(8, 20)]
    assert found == pytest.approx(losses[8:], rel=1e-4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"optimizer": "sgd"}, "not sgd"),
        ({"optimizer": "adagrad"}, "not adagrad"),
        ({"schedule": "one-cycle"}, "momentum"),
    ],
)
def test_what_cannot_be_recorded_is_said(job, values, said):
    with pytest.raises(UsageError, match=said):
        check_recordable(job(**values))


def test_it_says_that_it_is_unverified(job):
    notice = check_recordable(job())
    assert (notice.level, "unverified" in notice.message) == ("warning", True)


def test_without_cuda_it_is_refused(tmp_path, new_model, tokens, settings):
    with pytest.raises(UsageError, match="it is for CUDA"):
        list(train(new_model(), tokens, settings(engine="cuda-graphs"), checkpoints=tmp_path))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_on_a_gpu_it_learns_what_plain_cuda_does(tmp_path, new_model, tokens, settings, name, precision):
    losses = {}
    for engine in ("plain", "cuda-graphs"):
        chosen = settings(steps=40, device="cuda", engine=engine, precision=precision)
        events = list(train(new_model(name, dropout=0), tokens, chosen, checkpoints=tmp_path / engine))
        assert [event.engine for event in events if isinstance(event, TrainingStarted)] == [engine]
        said = [event.message for event in events if isinstance(event, Notice)]
        assert any("unverified" in message for message in said) == (engine == "cuda-graphs")
        losses[engine] = [float(event.loss) for event in events if isinstance(event, Step)]
    assert losses["cuda-graphs"] == pytest.approx(losses["plain"], rel=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu_nothing_waits_for_the_device(new_model, tokens, settings):
    one = prepare(new_model(), tokens, settings(device="cuda", engine="cuda-graphs"), None)
    one.recorded = Recorded(one, learn)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(1, 10):
            update(one, step, 1e-3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
