"""Any cell is streamed from its trace, by numpy and compiled, as its PyTorch layers are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from charpipe.cells import BOTH, Cell, tanh
from charpipe.generation import SampleConfig, sample
from charpipe.kernels.jit.numba_functions import can_compile
from charpipe.models import ArrayStream, StepwiseStream, open_stream
from letters import Letters
from recurrent_cells import CELLS, predictor_of, random_cells

VOCABULARY = 11
IDS = torch.randint(VOCABULARY, (30,), generator=torch.Generator().manual_seed(0)).tolist()
LABELS = "\nabcdefghij"
ENGINES = ["arrays"] + ["compiled"] * can_compile()


def begun(predictor):
    generator = torch.Generator().manual_seed(3)
    return {
        name: torch.randn(value.shape, generator=generator) * 0.3
        for name, value in predictor.initial_state(1).items()
    }


def assert_same(stream, predictor, state, ids=IDS, atol=2e-6):
    plain = StepwiseStream(predictor, {name: value.clone() for name, value in state.items()})
    for token in ids:
        np.testing.assert_allclose(stream.step(token), plain.step(token), atol=atol)
    assert stream.state.keys() == plain.state.keys()
    for name, value in plain.state.items():
        torch.testing.assert_close(stream.state[name], value, atol=atol, rtol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_stream_of_cell_equals_its_layers(name, layers, engine):
    predictor = predictor_of(CELLS[name](), VOCABULARY, layers=layers)
    state = begun(predictor)
    stream = open_stream(predictor, state, engine)
    assert type(stream).__name__ == {"arrays": "ArrayStream", "compiled": "CompiledStream"}[engine]
    assert_same(stream, predictor, state)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CELLS)
def test_stream_of_cell_goes_on_from_its_state(name, engine):
    predictor = predictor_of(CELLS[name](), VOCABULARY, layers=2)
    first = open_stream(predictor, begun(predictor), engine)
    for token in IDS[:9]:
        first.step(token)
    second = open_stream(predictor, first.state, engine)
    for token in IDS[9:]:
        np.testing.assert_array_equal(first.step(token), second.step(token))


@pytest.mark.parametrize(
    "name", ["PeepholeLstm", "MinimalGatedUnit", "NoHiddenGates", "HiddenOnly", "Shifted"]
)
def test_text_of_cell_is_the_same_by_all_engines(name):
    predictor = predictor_of(CELLS[name](), VOCABULARY, layers=2)
    wanted = SampleConfig(length=300, prompt="ab", temperature=1)
    texts = {
        sample(predictor, Letters(LABELS), wanted.model_copy(update={"engine": one}))
        for one in ("plain", *ENGINES)
    }
    assert len(texts) == 1


@settings(max_examples=60, deadline=None)
@given(random_cells())
def test_random_cell_is_streamed_as_its_layers_are(cell):
    predictor = predictor_of(cell, VOCABULARY, hidden_size=5, layers=2)
    state = begun(predictor)
    for engine in ENGINES:
        assert_same(open_stream(predictor, state, engine), predictor, state, IDS[:8], atol=1e-5)


class Sorted(Cell):
    """An operation that has no compiled form."""

    gates = {"a": BOTH}
    state = ("hidden",)

    def step(self, gates, state):
        return {"hidden": tanh(torch.cumsum(gates.a, -1) * 0.1)}


@pytest.mark.parametrize("engine", ENGINES)
def test_cell_without_compiled_form_is_stepped_by_torch(engine):
    predictor = predictor_of(Sorted(), VOCABULARY)
    assert isinstance(open_stream(predictor, begun(predictor), engine), StepwiseStream)


def test_warnings_of_numpy_are_not_shown():
    """exp overflows, and log of 0 is minus infinity: seen in the logits, if at all."""
    predictor = predictor_of(CELLS["NanInPadding"](), VOCABULARY)
    for parameter in predictor.network.recurrence.parameters():
        torch.nn.init.zeros_(parameter)
    stream = open_stream(predictor, begun(predictor))
    assert isinstance(stream, ArrayStream)
    assert np.isnan(stream.step(1)).all()
