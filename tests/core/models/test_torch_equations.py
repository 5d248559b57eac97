"""A cell that names one of PyTorch's layers is compared with the layer's equations without PyTorch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from charpipe.cells import tanh, trace_of
from charpipe.models.from_cell import equals_torch_layer
from charpipe.models.torch_equations import LAYERS, equals_torch_equations
from charpipe_gru.cell import Gru
from charpipe_lstm.cell import Lstm
from charpipe_rnn.cell import ReluRnn, Rnn

CELLS = (Lstm, Gru, Rnn, ReluRnn)


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_has_the_equations_of_its_layer_and_of_no_other(cell: type) -> None:
    trace = trace_of(cell(SimpleNamespace(forget_bias=1.0)))
    assert {name for name in LAYERS if equals_torch_equations(trace, name)} == {cell.torch_layer}
    assert equals_torch_layer(cell)


def test_an_unknown_layer_has_no_equations() -> None:
    assert not equals_torch_equations(trace_of(Rnn()), "QRNN")


class SlowGru(Gru):
    """Its update gate is a little off."""

    def step(self, gates, state):
        return {"hidden": super().step(gates, state)["hidden"] * 0.999}


class OtherOrder(Lstm):
    """The gates i and f are exchanged."""

    gates = {"forget": Lstm.gates["forget"], **{k: v for k, v in Lstm.gates.items() if k != "forget"}}


class Deeper(Rnn):
    def step(self, gates, state):
        return {"hidden": tanh(super().step(gates, state)["hidden"])}


@pytest.mark.parametrize("cell", [SlowGru, OtherOrder, Deeper])
def test_a_changed_cell_is_told_from_its_layer(cell: type) -> None:
    assert not equals_torch_equations(trace_of(cell()), cell.torch_layer)
