"""Any cell's compiled step: exact activations, the same bits in any number of parts, and its form in int8."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from recurrent_cells import CELLS, MinimalGatedUnit, predictor_of, random_cells

pytest.importorskip("numba", reason="compiled loops need numba")

from charpipe.cells import BOTH, INPUT, Cell, Expression, Trace, relu, sigmoid, tanh, trace_of
from charpipe.errors import UsageError
from charpipe.kernels.step import int8
from charpipe.kernels.step import stream as compiled
from charpipe.kernels.step.backoff import Backoff
from charpipe.kernels.step.cell_kernel import CellKernel, cell_address
from charpipe.kernels.step.range_of_units import stays_within_one
from charpipe.kernels.step.stream import CompiledStream
from charpipe.models.standard import modules_of, torch_cells
from charpipe.models.streams.selection import open_batches
from charpipe.models.streams.stepwise import StepwiseBatch

VOCABULARY = 11
IDS = torch.randint(VOCABULARY, (30,), generator=torch.Generator().manual_seed(0)).numpy()


def applied(operation, x, fast=False):
    """What a compiled cell makes of its only gate."""
    result = Expression(operation, Expression("gate", name="x"))
    trace = Trace("Applied", ("x",), (INPUT,), ("hidden",), (), (result,))
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * CellKernel.ARGUMENTS)(cell_address(trace, fast=fast))
    sums = np.resize(x, 16 * -(-len(x) // 16)).astype(np.float32)
    found = np.zeros_like(sums)
    address = sums.ctypes.data
    call(len(sums), len(sums), address, address, found.ctypes.data, address, address)
    return found[: len(x)]


LOGISTIC = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731


@pytest.mark.parametrize(
    ("operation", "wanted", "atol", "fast"),
    [
        ("tanh", np.tanh, 2e-7, False),
        ("sigmoid", LOGISTIC, 2e-7, False),
        ("tanh", np.tanh, 2e-4, True),
        ("sigmoid", LOGISTIC, 2e-4, True),
    ],
)
def test_activations_equal_numpy(operation, wanted, atol, fast):
    x = np.linspace(-100, 100, 4001, dtype=np.float32)
    np.testing.assert_allclose(applied(operation, x, fast), wanted(x.astype(np.float64)), atol=atol)
    assert np.isnan(applied(operation, np.array([math.nan]), fast)[0])


def test_exp_and_log_equal_numpy():
    x = np.linspace(-80, 80, 4001, dtype=np.float32)
    np.testing.assert_allclose(applied("exp", x), np.exp(x.astype(np.float64)), rtol=2.5e-7)
    x = np.concatenate([np.logspace(-44, 38, 4001), np.linspace(0.5, 2, 1001)]).astype(np.float32)
    wanted = np.log(x.astype(np.float64))
    np.testing.assert_allclose(applied("log", x), wanted, rtol=5e-7, atol=5e-8)
    found = applied("log", np.array([0, math.inf, -1, math.nan], np.float32))
    assert found[:2].tolist() == [-math.inf, math.inf]
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize("name", CELLS)
def test_state_of_cell_is_bit_equal_for_any_number_of_threads(name, monkeypatch):
    monkeypatch.setattr(compiled, "BACKOFF", Backoff(lambda: math.inf))  # never pauses
    predictor = predictor_of(CELLS[name](), VOCABULARY, hidden_size=37, layers=2)
    streams = [
        CompiledStream(modules_of(predictor.network), predictor.initial_state(1), parts)
        for parts in (1, 2, 3)
    ]
    for stream in streams:
        monkeypatch.setattr(stream, "_choose_threads", lambda parts=stream.parts: parts)
        stream.read(IDS.astype(np.int64))
    first, *others = streams
    for other in others:
        for key, value in first.state.items():
            assert torch.equal(other.state[key], value)
        logits = [stream.buffers.logits.reshape(-1)[:VOCABULARY] for stream in (first, other)]
        np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("name", CELLS)
def test_state_can_be_set_back(name):
    predictor = predictor_of(CELLS[name](), VOCABULARY, layers=2)
    stream = CompiledStream(modules_of(predictor.network), predictor.initial_state(1))
    stream.read(IDS[:7].astype(np.int64))
    state = stream.state
    wanted = [stream.step(int(token)).copy() for token in IDS[7:]]
    stream.set_state(state)
    np.testing.assert_array_equal([stream.step(int(token)).copy() for token in IDS[7:]], wanted)


# --- int8 ---


class ExactMatrix(int8.QuantizedMatrix):
    """The product of the same integers in float32: where a processor has no VNNI, oneDNN's sums overflow."""

    def __init__(self, values, batch_size):
        self.rounded = (values / values.abs().amax(1).clamp_min(1e-12)[:, None] * int8.STEPS).round()
        self.scales = values.abs().amax(1).clamp_min(1e-12) / int8.STEPS

    def product(self, inputs):
        products = (inputs.float() - int8.ZERO_POINT) / int8.STEPS @ self.rounded.T * self.scales
        return np.ascontiguousarray(products.numpy())


@pytest.fixture(autouse=True, scope="module")
def exact_products():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(int8, "QuantizedMatrix", ExactMatrix)
        patch.setattr(torch.cpu, "get_capabilities", lambda: {"avx_vnni": True}, raising=False)
        yield


def assert_near(predictor, state, std):
    """Logits in int8 are near the exact ones, for 20 streams."""
    (quick,), plain = open_batches(predictor, state, "int8")[:1], StepwiseBatch(predictor, state)
    assert isinstance(quick, int8.Int8Batch)
    generator = np.random.default_rng(0)
    for _ in range(12):
        tokens = generator.integers(VOCABULARY, size=20)
        wanted, found = plain.step(tokens)[: quick.size], quick.step(tokens[: quick.size])
    np.testing.assert_allclose(found, wanted, atol=0.05 * max(std, wanted.std()) + 0.02)
    assert abs(found - wanted).max() > 0  # it is another precision


@pytest.mark.parametrize("hidden_size", [20, 32])
@pytest.mark.parametrize("name", ["PeepholeLstm", "MinimalGatedUnit", "HiddenOnly", "Shifted"])
def test_cell_in_int8_is_near_its_layers(name, hidden_size):
    predictor = predictor_of(CELLS[name](), VOCABULARY, hidden_size=hidden_size, layers=2)
    assert_near(predictor, predictor.initial_state(20), 0)


@settings(max_examples=40, deadline=None)
@given(random_cells())
def test_random_cell_in_int8_is_near_its_layers(cell):
    predictor = predictor_of(cell, VOCABULARY, hidden_size=5, layers=2, std=0.1)
    assert_near(predictor, predictor.initial_state(20), 1)


def test_int8_names_the_cell_whose_units_grow():
    predictor = predictor_of(CELLS["NoHiddenGates"](), VOCABULARY)
    with pytest.raises(UsageError, match="units of the cell NoHiddenGates do not stay between -1 and 1"):
        open_batches(predictor, predictor.initial_state(2), "int8")


def test_int8_says_what_has_no_compiled_form():
    class Summed(MinimalGatedUnit):
        def step(self, gates, state):
            return {"hidden": tanh(torch.cumsum(gates.update, -1) + gates.candidate)}

    predictor = predictor_of(Summed(), VOCABULARY)
    with pytest.raises(UsageError, match="cumsum"):
        open_batches(predictor, predictor.initial_state(2), "int8")


class Scaled(Cell):
    """As large as its vector."""

    gates = {"a": BOTH}
    state = ("hidden",)
    vectors = {"scale": 1.0}

    def step(self, gates, state, vectors):
        return {"hidden": vectors.scale * tanh(gates.a)}


def made(step, gates=None, state=("hidden",)):
    """A cell of this step."""
    members = {"gates": gates or {"a": BOTH, "b": BOTH}, "state": state, "step": step}
    return type("Made", (Cell,), members)()


NONE = np.zeros((0, 4), np.float32)
WITHIN = {
    "minimal gated unit": MinimalGatedUnit(),
    "peephole LSTM": CELLS["PeepholeLstm"](),
    "coupled": made(lambda _, g, s: {"hidden": s.hidden + sigmoid(g.a) * (tanh(g.b) - s.hidden)}),
    "difference of gates": made(lambda _, g, s: {"hidden": sigmoid(g.a) - sigmoid(g.b)}),
}
BEYOND = {
    "relu": made(lambda _, g, s: {"hidden": relu(g.a) * sigmoid(g.b)}),
    "two gates": made(lambda _, g, s: {"hidden": sigmoid(g.a) * s.hidden + sigmoid(g.b)}),
    "scaled": made(lambda _, g, s: {"hidden": 1.1 * tanh(g.a + g.b)}),
    "growing state": made(
        lambda _, g, s: {"hidden": sigmoid(g.a) * s.c, "c": s.c + tanh(g.b)}, state=("hidden", "c")
    ),
    "not a number": made(lambda _, g, s: {"hidden": tanh(g.a / g.b)}),
}


@pytest.mark.parametrize("name", WITHIN)
def test_cells_whose_units_stay_within_one(name):
    trace = trace_of(WITHIN[name])
    assert stays_within_one(trace, np.full((len(trace.vectors), 4), 3, np.float32))


@pytest.mark.parametrize("name", BEYOND)
def test_cells_whose_units_may_exceed_one(name):
    assert not stays_within_one(trace_of(BEYOND[name]), NONE)


@pytest.mark.parametrize(("scale", "within"), [(1.0, True), (-1.0, True), (1.5, False)])
def test_range_of_units_depends_on_learnt_vectors(scale, within):
    values = np.array([[0.5, scale, 0.1, 0.2]], np.float32)
    assert stays_within_one(trace_of(Scaled()), values) is within


def test_range_of_units_of_torch_s_layers():
    found = {mode: stays_within_one(trace_of(cell), NONE) for mode, cell in torch_cells().items()}
    assert found == {"LSTM": True, "GRU": True, "RNN_TANH": True, "RNN_RELU": False}
