"""What the comparison of training speed counts, and that it takes a cell from a folder of plugins."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from charpipe.errors import UsageError
from charpipe.plugins.registry import Registry

CELL = """
from charpipe.plugin import BOTH, INPUT, Architecture, Cell, RecurrentConfig, hookimpl, sigmoid, tanh


class Minimal(Cell):
    gates = {"update": BOTH, "candidate": INPUT}
    state = ("hidden",)
    vectors = {"scale": 0.5}

    def step(self, gates, state, vectors):
        z = sigmoid(gates.update)
        return {"hidden": (1 - z) * state.hidden + z * tanh(vectors.scale * gates.candidate)}


@hookimpl
def charpipe_architectures():
    return [Architecture("minimal", "a cell from a folder", RecurrentConfig, cell=Minimal)]
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "minimal_of_a_folder.py").write_text(CELL)
    return Registry([folder])


@pytest.mark.parametrize(("arch", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_roofline_of_torch_layers(arch, gates, registry):
    import roofline
    from plain_loop import CHARACTERS, cell_of

    found = roofline.unavoidable(cell_of(registry.architecture(arch)), (3, 16, 4, 8))
    assert found == 6 * ((3 + 2) * gates * 16 * 16 + 16 * len(CHARACTERS)) * 4 * 8


def test_roofline_of_a_cell_counts_its_products(registry):
    import roofline
    from plain_loop import CHARACTERS, cell_of

    cell = cell_of(registry.architecture("minimal"))
    assert roofline.gate_products(cell) == (2, 1)
    head = 16 * len(CHARACTERS)
    assert roofline.unavoidable(cell, (1, 16, 4, 8)) == 6 * (16 * 16 + head) * 4 * 8
    assert roofline.unavoidable(cell, (2, 16, 4, 8)) == 6 * ((2 + 2) * 16 * 16 + head) * 4 * 8


def test_cell_of_a_folder_is_timed_beside_gru_and_eager_loop(registry):
    import training

    given = SimpleNamespace(precision="float32", engine="auto", compile="no", device="cpu")
    shape = (1, 8, 2, 4)
    sides, _, precision = training.sides_of("minimal", shape, torch.device("cpu"), given, registry)
    assert {"charpipe", "plain float32", training.GRU} <= set(sides)
    for step in sides.values():
        step()
    assert precision == "float32"


def test_time_per_gate_is_over_the_products(registry):
    import training

    best = {"charpipe": 3e-6, training.GRU: 3e-6}
    row = training.of_cell("minimal", (1, 8, 2, 4), best, best, 1e12, registry)
    assert row["microseconds_per_gate"] == 1.0  # 2 products with the inputs, 1 with the previous output
    assert row["per_gate_of_gru"] == 2.0  # the GRU has 6
    alone = {"charpipe": 3e-6}
    assert "per_gate_of_gru" not in training.of_cell("gru", (1, 8, 2, 4), alone, alone, 1e12, registry)


def test_line_has_a_cell_for_each_column():
    import training

    row = {
        "arch": "minimal",
        "shape": "1x8x2x4",
        "chars_per_second": {
            "charpipe": 3000,
            "plain float32": 1000,
            "compiled float32": 1500,
            training.GRU: 9000,
        },
        "ratio": 3.0,
        "ratio_of_medians": 2.5,
        "roofline": None,
        "first_step_seconds": 0.5,
        "per_gate_of_gru": 1.25,
    }
    for new in (False, True):
        assert training.line(row, new).count("|") == training.head(new).splitlines()[0].count("|")
    assert training.line(row, True).endswith("| 1.5 k | 9.0 k | 1.25 |")


def test_model_that_counts_has_no_updates(registry):
    from updates import our_model

    with pytest.raises(UsageError, match="counts"):
        our_model("ngram", 1, 8, registry)
