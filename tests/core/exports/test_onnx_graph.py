"""One step of an ONNX graph, run by onnxruntime, equals our own: every architecture, any cell, any batch size."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings

from charpipe.cells import BOTH, INPUT, Cell, tanh
from charpipe.errors import UsageError
from charpipe.exports.network import network_of
from charpipe.exports.onnx_graph import DEFAULT, OLDEST, step_model
from charpipe.models import NetworkPredictor
from charpipe.models.standard import modules_of
from recurrent_cells import CELLS, predictor_of, random_cells

from exported_models import FACTS, NEURAL, loaded_of  # isort: skip

onnxruntime = pytest.importorskip("onnxruntime")
TOLERANCE = 1e-5
STEPS = 12
SHAPES: list[dict[str, Any]] = [
    {"layers": 1},
    {"layers": 3},
    {"layers": 2, "embedding_size": 5},
    {"layers": 2, "embedding_size": 12, "tie_weights": True},
]


def session(model: onnx.ModelProto) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def assert_same_steps(model: onnx.ModelProto, predictor: NetworkPredictor, batch: int) -> None:
    """Both step through the same ids; the states are carried by each."""
    runtime = session(model)
    generator = torch.Generator().manual_seed(batch)
    ours = {
        name: 0.3 * torch.randn(value.shape, generator=generator)
        for name, value in predictor.initial_state(batch).items()
    }
    names = [one.name for one in runtime.get_inputs()][1:]
    theirs = dict(zip(names, (value.numpy() for value in ours.values()), strict=True))
    for _ in range(STEPS):
        ids = torch.randint(predictor.vocabulary_size, (batch,), generator=generator)
        logits, *after = runtime.run(None, {"ids": ids.numpy(), **theirs})
        theirs = dict(zip(names, after, strict=True))
        wanted, ours = predictor.step(ids, ours)
        assert logits.shape == (batch, predictor.vocabulary_size)
        np.testing.assert_allclose(logits, wanted.numpy(), atol=TOLERANCE, rtol=TOLERANCE)
        for value, each in zip(ours.values(), after, strict=True):
            np.testing.assert_allclose(each, value.numpy(), atol=TOLERANCE, rtol=TOLERANCE)


def graph_of(predictor: NetworkPredictor) -> onnx.ModelProto:
    return step_model(modules_of(predictor.network), {}, FACTS)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("architecture", NEURAL)
def test_a_graph_steps_as_the_network_does(architecture: str, shape: dict[str, Any], batch: int) -> None:
    loaded = loaded_of(architecture, **shape)
    model = step_model(network_of(loaded, "onnx"), {}, FACTS)
    assert_same_steps(model, loaded.model.predictor(), batch)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("architecture", NEURAL)
def test_a_graph_starts_documents_anew_as_the_network_does(architecture: str, batch: int) -> None:
    loaded = loaded_of(architecture, layers=2)
    loaded.model.network.end_token = 3  # type: ignore[union-attr]
    model = step_model(network_of(loaded, "onnx"), {"end_token": 3}, FACTS)
    assert_same_steps(model, loaded.model.predictor(), batch)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(set(CELLS) - {"NanInPadding"}))
def test_a_graph_of_an_odd_cell_steps_as_its_layers_do(name: str) -> None:
    predictor = predictor_of(CELLS[name](), 11, layers=2)
    assert_same_steps(graph_of(predictor), predictor, 2)


@settings(max_examples=25)
@given(random_cells())
def test_a_graph_of_any_cell_steps_as_its_layers_do(cell: Cell) -> None:
    predictor = predictor_of(cell, 5, hidden_size=6, layers=2)
    assert_same_steps(graph_of(predictor), predictor, 2)


class ConstantState(Cell):
    """A state that becomes a constant, and names that the graph has itself."""

    gates = {"logits": BOTH, "embedding": INPUT}
    state = ("ids", "logits", "next_ids")

    def step(self, gates: Any, state: Any) -> dict[str, Any]:
        return {
            "ids": tanh(gates.logits + state.logits),
            "logits": gates.embedding,
            "next_ids": state.ids * 0,
        }


def test_states_may_have_the_names_of_the_graph_and_be_constant() -> None:
    predictor = predictor_of(ConstantState(), 5, layers=2)
    model = graph_of(predictor)
    assert [one.name for one in model.graph.input] == ["ids", "state_ids", "state_logits", "state_next_ids"]
    assert_same_steps(model, predictor, 3)


def test_a_wrong_weight_is_seen() -> None:
    loaded = loaded_of("gru")
    model = step_model(network_of(loaded, "onnx"), {}, FACTS)
    with torch.no_grad():
        loaded.model.network.head.bias[2] += 1e-3  # type: ignore[union-attr]
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same_steps(model, loaded.model.predictor(), 1)  # type: ignore[arg-type]


def test_a_graph_says_what_it_is_and_has_the_vocabulary() -> None:
    model = step_model(network_of(loaded_of("lstm"), "onnx"), {"characters": "aé"}, FACTS)
    told = {one.key: json.loads(one.value) for one in model.metadata_props}
    assert told["charpipe.vocabulary"] == {"characters": "aé"}
    assert told["charpipe.about"]["run"] == "a run"
    shapes = [
        [d.dim_param or d.dim_value for d in one.type.tensor_type.shape.dim] for one in model.graph.input
    ]
    assert shapes == [["batch"], [1, "batch", 12], [1, "batch", 12]]
    assert [one.name for one in model.graph.output] == ["logits", "next_hidden", "next_cell"]


@pytest.mark.parametrize("opset", [OLDEST, DEFAULT, onnx.defs.onnx_opset_version()])
def test_every_opset_that_is_accepted_can_be_run(opset: int) -> None:
    loaded = loaded_of("lstm-peephole", layers=2)
    model = step_model(network_of(loaded, "onnx"), {}, FACTS, opset)
    onnx.checker.check_model(model, full_check=True)
    if opset <= DEFAULT:  # a runtime may be older than the package onnx
        assert_same_steps(model, loaded.model.predictor(), 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("opset", [0, OLDEST - 1, onnx.defs.onnx_opset_version() + 1])
def test_an_opset_that_is_too_old_or_unknown_is_refused(opset: int) -> None:
    with pytest.raises(UsageError, match=r"too old|newer than"):
        step_model(network_of(loaded_of("rnn"), "onnx"), {}, FACTS, opset)
