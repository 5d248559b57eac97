"""The captured update: its parts on a CPU, where the same work is done each time; and, where there is a GPU, itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from charpipe.errors import UsageError
from charpipe.events import Notice, Step, TrainingStarted
from charpipe.models.engine import autograd_loss_and_grad
from charpipe.models.engine.cudnn_layout import Layout, padded_forward
from charpipe.training import TrainConfig, train
from charpipe.training.batches import fit_batches
from charpipe.training.cuda_graph import CapturedUpdate, undone
from charpipe.training.device_tokens import CopiedTokens, ResidentTokens
from charpipe.training.engines import UNVERIFIED, check_capturable
from charpipe.training.initialization import initialize
from charpipe.training.plan import Plan
from charpipe.training.schedules import learning_rate
from charpipe.training.update import build_update, optimize

CPU = torch.device("cpu")
STEPS = 25


class Training:
    """A setup and a state, and the update that belongs to them."""

    def __init__(self, setup, state):
        self.setup, self.state = setup, state
        self.update = build_update(setup, state)

    def captured(self, layout=None):
        """The same as the engine cuda-graphs has it, but for the device."""
        changes = {"engine": "cuda-graphs"}
        if layout is not None:
            forward = padded_forward(self.state.network, torch.float32, layout)
            changes["loss_and_grad"] = autograd_loss_and_grad(forward)
        return Training(replace(self.setup, **changes), self.state)

    def run(self, steps=STEPS, first=0):
        self.state.plan = Plan.of(steps)
        return [float(self.update(step, 1e-2)["loss"]) for step in range(first, steps)]

    @property
    def weights(self):
        return list(self.state.network.parameters())


@pytest.fixture
def new_training(new_model, tokens, settings):
    """Twenty-five steps are more than a pass over these tokens."""

    def build(name="lstm", **values):
        model = new_model(name, dropout=values.pop("dropout", 0.0))
        chosen = settings(batch_size=8, window=16, engine="plain", precision="float32", **values)
        return Training(*initialize(model, tokens[:1500], chosen))

    return build


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
def test_captured_update_learns_what_the_plain_one_does(new_training, name, optimizer):
    plain = new_training(name, optimizer=optimizer)
    other = new_training(name, optimizer=optimizer).captured(Layout(8, 8))
    assert other.run() == pytest.approx(plain.run(), rel=1e-3)
    for mine, theirs in zip(other.weights, plain.weights, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "values", [{}, {"loss": "sum"}, {"clip_by": "value"}, {"average": 0.9}, {"dropout": 0.3}]
)
def test_without_padding_only_the_rate_is_rounded(new_training, values):
    """It is a float32 there, in the device's memory."""
    plain, other = new_training(**values), new_training(**values).captured()
    assert other.run() == pytest.approx(plain.run(), rel=1e-4)
    one, two = other.state, plain.state
    assert one.loss_sum.tolist() == pytest.approx(two.loss_sum.tolist(), rel=1e-4)
    torch.testing.assert_close(one.recurrent, two.recurrent, rtol=1e-2, atol=1e-3)
    evaluated = one.evaluated_network.parameters(), two.evaluated_network.parameters()
    for mine, theirs in zip(*evaluated, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3)


def test_replay_reads_and_writes_the_same_memory(new_training):
    one = new_training().captured()

    def addresses():
        state = one.state
        optimizer = [value for values in state.optimizer.state.values() for value in values.values()]
        tensors = [*state.recurrent.values(), state.loss_sum, *one.weights, *optimizer]
        return [tensor.data_ptr() for tensor in tensors]

    one.run(2)
    before = addresses()
    one.run(20, 2)
    assert addresses() == before


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("first", [0, 3])
def test_warm_up_is_undone(new_training, optimizer, first):
    momentum = 0.5 if optimizer == "rmsprop" else 0.0
    one, other = (new_training(optimizer=optimizer, momentum=momentum) for _ in range(2))
    one.run(first), other.run(first)
    with undone(one.state):
        one.run(first + 7, first)
    for mine, theirs in zip(one.weights, other.weights, strict=True):
        assert torch.equal(mine, theirs)
    assert one.state.loss_sum.tolist() == other.state.loss_sum.tolist()
    recurrent = other.state.recurrent.items()  # a captured update changes it in place, this one does not
    one.state.recurrent = {name: values.clone() for name, values in recurrent}
    assert one.run(first + 9, first) == other.run(first + 9, first)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("device_tokens", [ResidentTokens, CopiedTokens])
def test_tokens_on_the_device_are_those_of_the_batches(kind, device_tokens):
    largest = min(np.iinfo(kind).max, 1 << 31)
    tokens = np.random.default_rng(1).integers(largest, size=3000, endpoint=True).astype(kind)
    batches = fit_batches(tokens, 6, 20, seed=3)
    found = device_tokens(batches, CPU)
    for step in (0, 1, batches.steps_per_epoch - 1, batches.steps_per_epoch, 400):
        found.move_to(step)
        inputs, targets = batches.read(step)
        assert torch.equal(found.read()[:-1], inputs)
        assert torch.equal(found.read()[1:], targets)


def test_saved_run_continues_captured(tmp_path, new_model, tokens, settings):
    chosen = settings(steps=20, engine="plain", precision="float32", checkpoint_every=8, keep_checkpoints=9)
    events = list(train(new_model(), tokens, chosen, checkpoints=tmp_path))
    losses = [float(event.loss) for event in events if isinstance(event, Step)]
    resumed = Training(*initialize(new_model(seed=9), tokens, chosen, tmp_path / "step-00000008"))
    update = resumed.captured().update
    found = [float(update(step, learning_rate(chosen, step, 20))["loss"]) for step in range(8, 20)]
    assert found == pytest.approx(losses[8:], rel=1e-4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"optimizer": "sgd"}, "not sgd"),
        ({"optimizer": "adagrad"}, "not adagrad"),
        ({"schedule": "one-cycle"}, "momentum"),
    ],
)
def test_setting_that_cannot_be_captured_is_refused(settings, values, said):
    with pytest.raises(UsageError, match=said):
        check_capturable(settings(**values), "float32")


def test_unverified_engine_warns():
    check_capturable(TrainConfig(), "float32")
    assert (UNVERIFIED.level, "unverified" in UNVERIFIED.message) == ("warning", True)


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
    setup, state = initialize(new_model(), tokens, settings(device="cuda", engine="cuda-graphs"))
    update = CapturedUpdate(setup, state, optimize)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(1, 10):
            update(step, 1e-3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
