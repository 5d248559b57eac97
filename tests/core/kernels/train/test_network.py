"""The fast engine equals PyTorch's layers: losses, carried state, gradients, dropout and scores."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from charpipe.errors import UsageError
from charpipe.kernels.jit.processor import Processor, this_processor
from charpipe.kernels.train import threads as kernel_threads
from charpipe.kernels.train.memory import zeros
from charpipe.models import LanguageModel, NetworkPredictor, TorchRecurrence
from charpipe.models.engine import choose_engine, is_uncertain, obstacle
from charpipe.plugin import ArchitectureConfig, RecurrentConfig

CPU = torch.device("cpu")
NAMES = {nn.LSTM: ("hidden", "cell"), nn.GRU: ("hidden",), nn.RNN: ("hidden",)}
VOCABULARY, BATCH_SIZE, STEPS = 11, 5, 7

pytestmark = pytest.mark.skipif(this_processor() is None, reason="the engine needs AVX2 or AVX-512")


def build(
    kind, size=24, layers=1, embedding=None, vocabulary=VOCABULARY, dropout=0.0, locked=False, recurrent=0.0
):
    torch.manual_seed(7)
    config = RecurrentConfig(
        hidden_size=size, layers=layers, embedding_size=embedding, dropout=dropout, locked_dropout=locked
    )

    def recurrence(inputs):
        layer = kind(inputs, size, layers, dropout=dropout if layers > 1 else 0.0)
        return TorchRecurrence(layer, NAMES[kind], locked=locked, recurrent_dropout=recurrent)

    return LanguageModel(config, vocabulary, recurrence)


def windows(vocabulary=VOCABULARY, steps=STEPS, batch_size=BATCH_SIZE):
    ids = torch.randint(vocabulary, (2 * steps + 1, batch_size), generator=torch.Generator().manual_seed(1))
    return [(ids[:steps], ids[1 : steps + 1]), (ids[steps:-1], ids[steps + 1 :])]


def state_of(network, batch_size=BATCH_SIZE):
    torch.manual_seed(2)
    return {name: torch.randn_like(values) for name, values in network.initial_state(batch_size).items()}


def losses_state_and_gradients(network, asked, precision="float32", factor=1.0, threads=1, **sizes):
    """Losses, the carried state and the gradients after two windows in a row."""
    batch_size = sizes.get("batch_size", BATCH_SIZE)
    step = choose_engine(network, CPU, precision, asked, batch_size=batch_size, threads=threads)[1]
    state, losses, gradients = state_of(network, batch_size), [], []
    for inputs, targets in windows(network.vocabulary_size, **sizes):
        network.zero_grad()
        loss, state = step(inputs, targets, state, factor)
        losses.append(loss)
        gradients.append({name: p.grad.clone() for name, p in network.named_parameters()})
    return torch.stack(losses), state, gradients


def both(network, precision="float32", **values):
    return [losses_state_and_gradients(network, asked, precision, **values) for asked in ("fast", "plain")]


def needs(precision):
    here = this_processor()
    if precision == "bfloat16" and not (here and here.bfloat16):
        pytest.skip("this processor multiplies no bfloat16")


def distance(found, exact):
    """The largest distance of a gradient, in its own size."""
    return max(((found[name] - exact[name]).norm() / exact[name].norm()).item() for name in exact)


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(
    ("size", "layers", "embedding", "vocabulary"),
    [
        (24, 1, None, 11),
        (32, 3, None, 11),
        (24, 2, 6, 11),
        (24, 2, 6, 200),
        (7, 1, None, 300),
        (100, 2, None, 65),
    ],
)
def test_losses_state_and_gradients_equal_the_plain_network(kind, size, layers, embedding, vocabulary):
    fast, plain = both(build(kind, size, layers, embedding, vocabulary))
    torch.testing.assert_close(fast[0], plain[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fast[1], plain[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(fast[2], plain[2], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(("steps", "batch_size"), [(1, 1), (3, 1), (130, 2), (2, 13), (1, 300)])
def test_windows_of_any_size_equal_the_plain_network(kind, steps, batch_size):
    """One lane, one step, and more of them than are summed up at a time."""
    fast, plain = both(build(kind, 40, 2), steps=steps, batch_size=batch_size)
    torch.testing.assert_close(fast[0], plain[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast[1], plain[1], rtol=1e-4, atol=1e-5)
    assert all(distance(a, b) < 1e-4 for a, b in zip(fast[2], plain[2], strict=True))


@pytest.mark.parametrize("kind", NAMES)
def test_factor_multiplies_the_gradient_alone(kind):
    network = build(kind)
    one, ten = (losses_state_and_gradients(network, "fast", factor=factor) for factor in (1.0, 10.0))
    assert torch.equal(one[0], ten[0])
    for mine, other in zip(one[2], ten[2], strict=True):
        assert distance({name: values / 10 for name, values in other.items()}, mine) < 1e-6


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(("size", "embedding", "vocabulary"), [(64, None, 11), (40, None, 11), (40, 6, 200)])
def test_bfloat16_is_as_near_to_float32_as_autocast(kind, size, embedding, vocabulary):
    needs("bfloat16")
    network = build(kind, size, 2, embedding, vocabulary)
    exact = both(network)[1][2]
    fast, plain = (found[2] for found in both(network, "bfloat16"))
    assert all(distance(a, c) < 1.5 * distance(b, c) for a, b, c in zip(fast, plain, exact, strict=True))


def test_embedding_tied_to_the_head_gets_both_gradients():
    torch.manual_seed(7)
    config = ArchitectureConfig(hidden_size=24, embedding_size=24, tie_weights=True)
    network = LanguageModel(config, VOCABULARY, lambda i: TorchRecurrence(nn.LSTM(i, 24), NAMES[nn.LSTM]))
    fast, plain = both(network)
    torch.testing.assert_close(fast[2], plain[2], rtol=1e-4, atol=1e-6)


def test_frozen_parameter_gets_no_gradient():
    network = build(nn.RNN)
    network.recurrence.layer.bias_hh_l0.requires_grad_(False)
    choose_engine(network, CPU, "float32", "fast")[1](*windows()[0], state_of(network), 1.0)
    assert network.recurrence.layer.bias_hh_l0.grad is None
    assert network.recurrence.layer.bias_ih_l0.grad is not None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("size", "many"), [(64, BATCH_SIZE), (40, 29)])
@pytest.mark.parametrize("kind", NAMES)
def test_result_is_bit_equal_for_any_number_of_threads(kind, size, many, precision, monkeypatch):
    """Bit for bit: what is summed in which order does not depend on who does it."""
    needs(precision)
    network = build(kind, size, 2, dropout=0.3, recurrent=0.2)
    torch.manual_seed(5)
    alone = losses_state_and_gradients(network, "fast", precision, batch_size=many)
    monkeypatch.setattr(kernel_threads, "MIN_PRODUCTS", 1)
    assert kernel_threads.thread_count(many, 1e9, 3) == 3
    torch.manual_seed(5)
    shared = losses_state_and_gradients(network, "fast", precision, threads=3, batch_size=many)
    torch.testing.assert_close(alone, shared, rtol=0, atol=0)


@pytest.mark.parametrize("kind", NAMES)
def test_window_of_another_size_leaves_no_trace(kind):
    network = build(kind, 40, 2)
    step, state = choose_engine(network, CPU, "float32", "fast")[1], state_of(network)
    (inputs, targets), _ = windows()
    first = [step(inputs, targets, state, 1.0), {n: p.grad.clone() for n, p in network.named_parameters()}]
    network.zero_grad()
    step(inputs[:3, :2], targets[:3, :2], state_of(network, 2), 1.0)
    network.zero_grad()
    again = [step(inputs, targets, state, 1.0), {n: p.grad.clone() for n, p in network.named_parameters()}]
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_refused_memory_raises_memory_error_each_time(monkeypatch):
    """And nothing is written beyond the smaller window before."""
    step = choose_engine(network := build(nn.LSTM), CPU, "float32", "fast")[1]
    (inputs, targets), _ = windows()
    step(inputs[:2], targets[:2], state_of(network), 1.0)

    def refused(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("charpipe.kernels.train.memory.mmap.mmap", refused)
    monkeypatch.setattr("charpipe.kernels.train.memory.HUGE_PAGE", 1)
    for _ in range(2):
        with pytest.raises(MemoryError, match="refused"):
            step(inputs, targets, state_of(network), 1.0)


def test_zeros_work_without_huge_pages(monkeypatch):
    class Small(mmap.mmap):
        def madvise(self, *_):
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr("charpipe.kernels.train.memory.mmap.mmap", Small)
    assert torch.equal(zeros(3 << 20), torch.zeros(3 << 20))


def test_exception_of_a_thread_is_raised():
    def work():
        raise ValueError("a thread")

    with pytest.raises(ValueError, match="a thread"):
        kernel_threads.run_parallel([lambda: None, work])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_process_starts_threads_of_its_own():
    done = []
    kernel_threads.run_parallel([lambda: done.append(1), lambda: done.append(2)])
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        kernel_threads.run_parallel([lambda: done.append(3), lambda: done.append(4)])
        os._exit(0 if len(done) == 4 else 1)
    assert os.waitpid(child, 0)[1] == 0


def dropout_mask(count, seed, dropped):
    """What dropout leaves of `count` numbers, by the published mixing function of the numbers from a seed on."""
    x = np.arange(count, dtype=np.uint32) + np.uint32(seed)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    x = x ^ (x >> np.uint32(16))
    return torch.from_numpy((x >= np.uint32(round(dropped * 2**32))).astype(np.float32)) / (1 - dropped)


def loss_with_masks(network, ids, targets, state, seeds, dropped, locked, recurrent):
    """The loss of the plain layers, with what the engine leaves out left out by hand."""
    recurrence, (steps, batch_size) = network.recurrence, ids.shape
    values, layer = network._look_up(ids), recurrence.layer
    size = layer.hidden_size
    for place in range(layer.num_layers):
        hidden = layer.get_parameter(f"weight_hh_l{place}")
        if recurrent:
            hidden = hidden * dropout_mask(hidden.numel(), seeds[2 * place], recurrent).view(hidden.shape)
        weights = [
            layer.get_parameter(f"weight_ih_l{place}"),
            hidden,
            layer.get_parameter(f"bias_ih_l{place}"),
            layer.get_parameter(f"bias_hh_l{place}"),
        ]
        before = [state[name][place : place + 1] for name in recurrence.names]
        function = {"LSTM": torch.lstm, "GRU": torch.gru, "RNN_TANH": torch.rnn_tanh}[layer.mode]
        before = before if len(before) > 1 else before[0]
        values = function(values, before, weights, True, 1, 0.0, True, False, False)[0]
        if dropped:
            rows = batch_size if locked else steps * batch_size
            values = values * dropout_mask(rows * size, seeds[2 * place + 1], dropped).view(
                -1, batch_size, size
            )
    return functional.cross_entropy(network.head(values).flatten(0, 1), targets.flatten())


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(
    ("dropped", "locked", "recurrent"),
    [(0.4, False, 0.0), (0.4, True, 0.0), (0.0, False, 0.5), (0.3, True, 0.2)],
)
def test_dropout_mask_is_the_same_forward_and_backward(kind, dropped, locked, recurrent):
    network = build(kind, 32, 2, dropout=dropped, locked=locked, recurrent=recurrent)
    step, (inputs, targets) = choose_engine(network, CPU, "float32", "fast")[1], windows()[0]
    torch.manual_seed(11)
    loss, _ = step(inputs, targets, state_of_zeros(network), 1.0)
    found = {name: p.grad.clone() for name, p in network.named_parameters()}
    network.zero_grad()
    torch.manual_seed(11)
    seeds = torch.randint(2**32, (4,)).tolist()
    expected = loss_with_masks(
        network, inputs, targets, state_of_zeros(network), seeds, dropped, locked, recurrent
    )
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert distance(found, {name: p.grad for name, p in network.named_parameters()}) < 1e-4


@pytest.mark.parametrize("kind", NAMES)
def test_dropout_near_one_keeps_nothing(kind):
    """Rounded to 32 bits such a share is 1, not 0."""
    network = build(kind, 16, dropout=1 - 1e-10)
    step, (inputs, targets) = choose_engine(network, CPU, "float32", "fast")[1], windows()[0]
    loss, _ = step(inputs, targets, state_of_zeros(network), 1.0)
    bias = network.head.bias.detach().log_softmax(0)
    assert loss.item() == pytest.approx(-bias[targets].mean().item(), rel=1e-5)


def state_of_zeros(network):
    return network.initial_state(BATCH_SIZE)


def test_dropout_masks_of_seeds_are_independent():
    one, two = (dropout_mask(4_000_000, seed, 0.3).gt(0) for seed in (0, 3_653_403_231))
    for kept, expected in (
        (one, 0.7),
        (one & two, 0.49),
        (one[1:] & one[:-1], 0.49),
        (one[512:] & one[:-512], 0.49),
    ):
        assert kept.float().mean().item() == pytest.approx(expected, abs=1e-3)  # as of independent draws


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize(("steps", "batch_size"), [(STEPS, BATCH_SIZE), (1, 1), (70, 600)])
def test_scores_equal_the_plain_network(kind, steps, batch_size):
    """The last are more than are scored at a time."""
    network = build(kind, 24, 2, embedding=6, dropout=0.5, recurrent=0.5).train()
    predictor = NetworkPredictor(network, VOCABULARY)
    ids = torch.randint(VOCABULARY, (steps + 1, batch_size), generator=torch.Generator().manual_seed(1))
    found, plain = (
        predictor.score(ids, state_of(network, batch_size)),
        predictor._score(ids, state_of(network, batch_size)),
    )
    assert predictor._scorer != predictor._score
    torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)


def test_scores_use_the_present_weights():
    network = build(nn.LSTM)
    predictor = NetworkPredictor(network, VOCABULARY)
    (ids, _), state = windows()[0], state_of(network)
    before = predictor.score(ids, state)[0]
    for values in network.parameters():
        values.grad = torch.ones_like(values)
    torch.optim.AdamW(network.parameters(), lr=0.1, fused=True).step()  # which no tensor's version tells of
    after = predictor.score(ids, state)[0]
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, predictor._score(ids, state)[0], rtol=1e-4, atol=1e-5)


def test_nan_in_a_weight_gives_a_nan_loss():
    """What is not finite must not be lost on the way: training ends by it."""
    network = build(nn.LSTM)
    with torch.no_grad():
        network.recurrence.layer.weight_hh_l0[0, 0] = torch.nan
    step, (inputs, targets) = choose_engine(network, CPU, "float32", "fast")[1], windows()[0]
    assert step(inputs, targets, state_of(network), 1.0)[0].isnan()


def test_unsupported_networks_are_refused_with_a_reason(monkeypatch):
    class Own(nn.Module):
        def forward(self, ids, state):
            return ids, state

    assert choose_engine(Own(), CPU, "float32")[0] == "plain"
    with pytest.raises(UsageError, match="not one of PyTorch's"):
        choose_engine(Own(), CPU, "float32", "fast")
    both_ways = LanguageModel(
        ArchitectureConfig(hidden_size=8),
        5,
        lambda i: TorchRecurrence(nn.RNN(i, 8, bidirectional=True), ("hidden",)),
    )
    assert "usual" in (obstacle(both_ways, CPU, "float32") or "")
    renamed = LanguageModel(
        ArchitectureConfig(hidden_size=8), 5, lambda i: TorchRecurrence(nn.LSTM(i, 8), ("cell", "hidden"))
    )
    assert "names" in (obstacle(renamed, CPU, "float32") or "")
    assert "not float32" in (obstacle(build(nn.LSTM).double(), CPU, "float32") or "")
    assert obstacle(build(nn.LSTM), torch.device("cuda"), "float32") == "it is for CPUs"
    assert obstacle(build(nn.LSTM), CPU, "float32") is None
    assert obstacle(build(nn.LSTM), CPU, "float16") == "this processor does not multiply float16"
    monkeypatch.setattr("charpipe.models.engine.support.this_processor", lambda: None)
    assert "AVX2" in (obstacle(build(nn.LSTM), CPU, "float32") or "")


@pytest.mark.parametrize(
    ("matrices", "amx", "kind", "precision", "expected"),
    [
        (False, "off", nn.LSTM, "bfloat16", "fast"),
        (True, "off", nn.LSTM, "bfloat16", "plain"),
        (True, "off", nn.LSTM, "float32", "fast"),
        (True, "off", nn.GRU, "bfloat16", "plain"),
        (True, "on", nn.LSTM, "bfloat16", "fast"),
    ],
)
def test_auto_chooses_fast_where_it_is_faster(monkeypatch, matrices, amx, kind, precision, expected):
    here = Processor("any", "", 16, 32, bfloat16=True, matrices=matrices, amx=amx)
    monkeypatch.setattr("charpipe.models.engine.support.this_processor", lambda: here)
    monkeypatch.setattr("charpipe.kernels.train.loss_and_grad.CompiledLossAndGrad", lambda *arguments: None)
    assert choose_engine(build(kind), CPU, precision)[0] == expected
    assert is_uncertain(build(kind), CPU, precision) is (expected == "plain")


@pytest.mark.skipif(bool(os.environ.get("ONEDNN_MAX_CPU_ISA")), reason="held to something already")
@pytest.mark.timeout(600)
@pytest.mark.e2e  # these tests once more, in a process of their own
def test_all_tests_pass_with_avx2_alone():
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__]
    held = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    done = subprocess.run(words, env=held, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
