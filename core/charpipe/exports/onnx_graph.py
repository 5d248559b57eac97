"""One step of a model as an ONNX graph, written from the cell's trace: ids and state -> logits and the next state.

PyTorch's exporter is not used: the graph has the same equations as our kernels, and any batch size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from charpipe.cells import Expression
from charpipe.cells.traversal import in_order
from charpipe.errors import UsageError
from charpipe.exports.facts import Facts
from charpipe.kernels.modules import NetworkModules

OLDEST = 13
"""The opset from which `Split` takes the sizes as an input; the others that a step needs are older."""
DEFAULT = 17
LARGEST = 2**31 - 2**20
"""Bytes of a graph: protobuf writes no more than 2 GiB in one file."""
OPERATIONS: Mapping[str, str] = {
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "Relu",
    "exp": "Exp",
    "log": "Log",
    "maximum": "Max",
    "minimum": "Min",
    "less": "Less",
    "less_equal": "LessOrEqual",
    "where": "Where",
}
"""ONNX's operators by a trace's operations."""


def check_opset(opset: int) -> None:
    """Raise UsageError for an opset that lacks what a step needs, or that the installed onnx does not know."""
    newest = onnx.defs.onnx_opset_version()
    if opset < OLDEST:
        raise UsageError(f"opset {opset} is too old for a model's step; give {OLDEST} or a later one")
    if opset > newest:
        raise UsageError(f"opset {opset} is newer than the installed onnx knows; give at most {newest}")


def step_model(
    modules: NetworkModules, vocabulary: Mapping[str, Any], facts: Facts, opset: int = DEFAULT
) -> onnx.ModelProto:
    """The step: `ids` int64 [B] and each state float32 [layers, B, H] -> `logits` float32 [B, V] and each state as
    `next_NAME`. The metadata hold the vocabulary and the facts as JSON."""
    check_opset(opset)
    weights = sum(4 * values.numel() for values in modules.parameters())
    if weights > LARGEST:
        raise UsageError(
            f"the graph would have {weights:,} bytes of weights; a file of ONNX has at most 2 GiB"
        )
    graph = _Graph(modules)
    graph.build()
    imports = [helper.make_opsetid("", opset)]
    made = helper.make_model(
        graph.finished(),
        opset_imports=imports,
        ir_version=helper.find_min_ir_version_for(imports),
        producer_name="charpipe",
        producer_version=facts.charpipe,
        doc_string=f"{facts.run}: one step of {facts.title}",
    )
    helper.set_model_props(
        made, {"charpipe.vocabulary": json.dumps(dict(vocabulary)), "charpipe.about": facts.model_dump_json()}
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def public_name(state: str) -> str:
    """The name of a state's input; its output has `next_` before it. Other names in the graph have a dot or a space."""
    return f"state_{state}" if state in ("ids", "logits") or state.startswith(("next_", "state_")) else state


class _Graph:
    """The nodes and weights of a step, as they are added."""

    def __init__(self, modules: NetworkModules) -> None:
        self.modules, self.trace = modules, modules.trace
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._known: set[str] = set()
        self.public = [public_name(name) for name in self.trace.state]

    def build(self) -> None:
        """Add the nodes of all layers and the head."""
        after: dict[str, list[str]] = {name: [] for name in self.public}
        values = ""
        for number in range(self.modules.layers):
            from_input = self._from_input(number, values)
            names = zip(self.trace.state, self.public, strict=True)
            state = {name: self._state(public, number) for name, public in names}
            gates = self._gates(number, from_input, state[self.trace.state[0]])
            results = self._cell(number, gates, state)
            values = results[0]
            for name, result in zip(self.public, results, strict=True):
                after[name].append(
                    self.add("Unsqueeze", [result, self.integers([0])], f"{name}.{number}.next")
                )
        head = self.modules.head
        inputs = [values, self.weight("head.weight", head.weight), self.weight("head.bias", head.bias)]
        self.nodes.append(helper.make_node("Gemm", inputs, ["logits"], "logits", transB=1))
        for name, parts in after.items():
            self.nodes.append(helper.make_node("Concat", parts, [f"next_{name}"], f"next_{name}", axis=0))

    def finished(self) -> onnx.GraphProto:
        """The graph with its inputs and outputs; the batch size is free."""
        layers, size = self.modules.layers, self.modules.hidden_size
        states = [(name, (layers, "batch", size)) for name in self.public]
        tensor = helper.make_tensor_value_info
        inputs = [tensor("ids", TensorProto.INT64, ("batch",))]
        inputs += [tensor(name, TensorProto.FLOAT, shape) for name, shape in states]
        outputs = [tensor("logits", TensorProto.FLOAT, ("batch", self.modules.vocabulary_size))]
        outputs += [tensor(f"next_{name}", TensorProto.FLOAT, shape) for name, shape in states]
        return helper.make_graph(self.nodes, "step", inputs, outputs, self.weights)

    def add(self, operation: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add a node; the name of its output, which is that of the node."""
        self.nodes.append(helper.make_node(operation, inputs, [name], name, **attributes))
        return name

    def weight(self, name: str, values: torch.Tensor) -> str:
        """The name of a weight, float32."""
        return self._stored(name, values.detach().float().numpy())

    def integers(self, values: list[int] | int) -> str:
        """The name of constant whole numbers."""
        return self._stored(f"integers {values}", np.array(values, np.int64))

    def number(self, value: float) -> str:
        """The name of a constant number."""
        return self._stored(
            f"number {value.hex() if math.isfinite(value) else value}", np.array(value, np.float32)
        )

    def _stored(self, name: str, values: NDArray[Any]) -> str:
        if name not in self._known:
            self._known.add(name)
            self.weights.append(
                numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)
            )
        return name

    def _from_input(self, number: int, values: str) -> str:
        """The product with the layer's input and its bias, [B, gates with an input * H]."""
        name, weights = f"layer.{number}.input", self.modules.layer_parameter("weight_ih", number)
        bias = self.weight(f"{name}.bias", self.modules.layer_parameter("bias_ih", number))
        if number == 0:
            if self.modules.embedding is None:  # one-hot: the product is a column of the weights
                columns = self.weight(f"{name}.columns", weights.detach().T)
                return self.add("Add", [self.add("Gather", [columns, "ids"], f"{name}.column"), bias], name)
            embedding = self.modules.embedding.weight
            if embedding is self.modules.head.weight:
                values = self.add("Gather", [self.weight("head.weight", embedding), "ids"], "embedding.row")
            else:
                values = self.add(
                    "Gather", [self.weight("embedding.weight", embedding), "ids"], "embedding.row"
                )
        return self.add("Gemm", [values, self.weight(f"{name}.weight", weights), bias], name, transB=1)

    def _state(self, name: str, number: int) -> str:
        """A layer's state, [B, H]: zero where an end token is read."""
        state = self.add("Gather", [name, self.integers(number)], f"{name}.{number}", axis=0)
        if self.modules.end_token is None:
            return state
        return self.add("Where", [self._ends(), self.number(0.0), state], f"{name}.{number}.in document")

    def _ends(self) -> str:
        """Whether each stream reads an end token, [B, 1]."""
        if "ends" not in self._known:
            self._known.add("ends")
            equal = self.add("Equal", ["ids", self.integers(self.modules.end_token or 0)], "ends.ids")
            self.add("Unsqueeze", [equal, self.integers([1])], "ends")
        return "ends"

    def _gates(self, number: int, from_input: str, hidden: str) -> dict[str, str]:
        """Each gate's sum, [B, H]."""
        trace = self.trace
        found: dict[str, list[str]] = {name: [] for name in trace.gates}
        self._split(from_input, [trace.gates[i] for i in trace.input_gates], found)
        if trace.hidden_gates:
            name = f"layer.{number}.recurrent"
            weights = self.weight(f"{name}.weight", self.modules.layer_parameter("weight_hh", number))
            bias = self.weight(f"{name}.bias", self.modules.layer_parameter("bias_hh", number))
            product = self.add("Gemm", [hidden, weights, bias], name, transB=1)
            self._split(product, [trace.gates[i] for i in trace.hidden_gates], found)
        return {
            name: parts[0] if len(parts) == 1 else self.add("Add", parts, f"layer.{number}.gate.{name}")
            for name, parts in found.items()
        }

    def _split(self, product: str, gates: list[str], found: dict[str, list[str]]) -> None:
        if len(gates) == 1:
            found[gates[0]].append(product)
            return
        parts = [f"{product}.{gate}" for gate in gates]
        sizes = self.integers([self.modules.hidden_size] * len(gates))
        self.nodes.append(helper.make_node("Split", [product, sizes], parts, f"{product}.split", axis=1))
        for gate, part in zip(gates, parts, strict=True):
            found[gate].append(part)

    def _cell(self, number: int, gates: Mapping[str, str], state: Mapping[str, str]) -> list[str]:
        """The layer's next states, [B, H]."""
        trace = self.trace
        names: dict[Expression, str] = {}
        for place, one in enumerate(in_order(trace.results)):
            names[one] = self._value(one, number, place, gates, state, names)
        return [
            self._spread(names[one], state, f"layer.{number}.spread.{place}")
            if one.operation == "constant"
            else names[one]
            for place, one in enumerate(trace.results)
        ]

    def _value(
        self,
        one: Expression,
        number: int,
        place: int,
        gates: Mapping[str, str],
        state: Mapping[str, str],
        names: Mapping[Expression, str],
    ) -> str:
        if one.operation == "constant":
            return self.number(one.number)
        if one.operation == "gate":
            return gates[one.name]
        if one.operation == "state":
            return state[one.name]
        if one.operation == "vector":
            name = f"layer.{number}.vector.{one.name}"
            return self.weight(name, self.modules.layer_parameter(one.name, number))
        inputs = [names[each] for each in one.operands]
        return self.add(OPERATIONS[one.operation], inputs, f"layer.{number}.{place}.{one.operation}")

    def _spread(self, constant: str, state: Mapping[str, str], name: str) -> str:
        """A constant as [B, H]."""
        shape = self.add("Shape", [next(iter(state.values()))], f"{name}.shape")
        return self.add("Expand", [constant, shape], name)
