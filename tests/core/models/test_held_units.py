"""Units of the state held at a value while a model reads and writes."""

from __future__ import annotations

import itertools

import pytest
import torch

from charpipe.cells import BOTH, Cell
from charpipe.errors import UsageError
from charpipe.generation import SampleConfig, sample
from charpipe.inspection import Unit
from charpipe.inspection.held_copies import Copies
from charpipe.models import build_model
from charpipe.models.held_units import held_unit, hold
from charpipe.plugins.registry import Registry
from letters import Letters
from recurrent_cells import CELLS, predictor_of

LABELS = "\nabcdef"
ARCHITECTURES = ("rnn", "lstm", "gru", "minimal-gated")
IDS = torch.tensor([[1, 2], [3, 4], [5, 6], [1, 1]])


def predictor(name="lstm", layers=2):
    architecture = Registry().architecture(name)
    return build_model(architecture, architecture.config(hidden_size=9, layers=layers), {}, 7).predictor()


def installed(names):
    known = Registry().all("architecture")
    return [name for name in names if name in known]


@pytest.mark.parametrize("name", installed(ARCHITECTURES))
def test_nothing_changes_where_the_units_have_these_values_anyway(name):
    """Held at the value it has, a unit changes no prediction: the layers are the same, stepped one by one."""
    plain = predictor(name)
    state = plain.initial_state(2)
    for ids in IDS:
        logits, after = plain.step(ids[:1], {key: value[:, :1] for key, value in state.items()})
        units = {f"1.{n}": float(after["hidden"][1, 0, n]) for n in range(9)}
        held_logits, held_after = hold(plain, units).step(
            ids[:1], {key: value[:, :1] for key, value in state.items()}
        )
        assert torch.allclose(held_logits, logits, atol=1e-5)
        for key, value in after.items():
            assert torch.allclose(held_after[key], value, atol=1e-5)
        state = {key: torch.cat([value, value], 1) for key, value in after.items()}


@pytest.mark.parametrize("name", installed(ARCHITECTURES))
def test_head_reads_a_held_unit_of_the_last_layer(name):
    plain = predictor(name)
    held = hold(plain, {"1.4": 3.0})
    logits, after = held.step(IDS[0], held.initial_state(2))
    assert (after["hidden"][1, :, 4] == 3).all()
    assert torch.allclose(logits, plain.network.head(after["hidden"][1]), atol=1e-5)


def test_layer_above_reads_a_held_unit():
    """All units of the first layer held: the second one no longer depends on the character."""
    held = hold(predictor(), {f"0.{n}": 0.5 for n in range(9)})
    logits, _ = held.step(torch.tensor([1, 5]), held.initial_state(2))
    assert torch.allclose(logits[0], logits[1])


def test_next_step_starts_from_a_held_unit_of_the_cell_state():
    plain = predictor(layers=1)
    held = hold(plain, {"cell.0.2": -2.0, "hidden[0] 3": 0.25})
    logits, after = held.step(IDS[0], held.initial_state(2))
    assert (after["cell"][0, :, 2] == -2).all()
    assert (after["hidden"][0, :, 3] == 0.25).all()
    wanted, _ = plain.step(IDS[1], after)
    found, _ = held.step(IDS[1], after)
    assert not torch.allclose(found, wanted)
    del logits


class TorchOnly(Cell):
    """Its output is computed by a function that has no compiled form."""

    gates = {"a": BOTH}
    state = ("hidden", "memory")

    def step(self, gates, state):
        memory = 0.5 * state.memory + gates.a
        return {"hidden": torch.sin(memory), "memory": memory}


@torch.no_grad()
def test_output_of_lstm_is_computed_from_the_held_cell():
    plain = predictor(layers=1)
    held = hold(plain, {f"cell.0.{n}": 0.7 for n in range(9)})
    _, after = held.step(IDS[0], held.initial_state(2))
    layer, given = plain.network.recurrence.layer, torch.nn.functional.one_hot(IDS[0], 7).float()
    sums = given @ layer.weight_ih_l0.T + layer.bias_ih_l0 + layer.bias_hh_l0  # the hidden units are zero
    wanted = sums.chunk(4, 1)[3].sigmoid() * torch.tensor(0.7).tanh()
    assert torch.allclose(after["hidden"][0], wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["lstm", "gru", *CELLS])
def test_a_clamped_unit_is_held_as_an_ablated_one(name):
    """One definition of holding: the same loss of every character, for a unit of every state and layer."""
    plain = predictor_of(CELLS[name](), 7, 9, layers=2) if name in CELLS else predictor(name)
    for state, layer in itertools.product(plain.initial_state(1), (0, 1)):
        held = hold(plain, {f"{state}.{layer}.3": 0.4})
        scored, _ = held.score(IDS, held.initial_state(2))
        ablated = Copies(plain, [Unit(state, layer, 3)], [0.4], 2).score(IDS)
        assert torch.allclose(scored, ablated[:, 0], rtol=1e-4, atol=1e-5, equal_nan=True), (state, layer)


def test_unit_of_unknown_equations_is_held_for_the_next_step():
    plain = predictor_of(TorchOnly(), 7, 9)
    state = plain.initial_state(2)
    held = hold(plain, {"memory.0.3": 0.4})
    logits, after = held.step(IDS[0], state)
    assert torch.allclose(logits, plain.step(IDS[0], state)[0])
    assert (after["memory"][0, :, 3] == 0.4).all()
    _, after = hold(plain, {"0.3": 0.4}).step(IDS[0], state)
    assert (after["hidden"][0, :, 3] == 0.4).all()


def test_streams_start_anew_where_documents_end():
    held = hold(predictor(layers=1), {"cell.0.2": 0.7})
    recurrence, first = held.network.recurrence, held.initial_state(2)
    inputs = torch.nn.functional.one_hot(IDS[:2], 7).float()
    resets = torch.tensor([[False, False], [True, False]])
    outputs, _ = recurrence(inputs, first, resets)
    alone, _ = recurrence(inputs[1:], first)
    assert torch.allclose(outputs[1, 0], alone[0, 0]) and not torch.allclose(outputs[1, 1], alone[0, 1])


def test_a_text_is_scored_as_it_is_stepped():
    held = hold(predictor("gru"), {"0.1": 0.7})
    state, nats = held.initial_state(2), []
    for now, then in itertools.pairwise(IDS):
        logits, state = held.step(now, state)
        nats.append(-logits.log_softmax(-1).gather(1, then[:, None])[:, 0])
    scored, after = held.score(IDS, held.initial_state(2))
    assert torch.allclose(scored, torch.stack(nats), atol=1e-5)
    assert torch.allclose(after["hidden"], state["hidden"], atol=1e-6)


def test_model_itself_stays_as_it_was():
    plain = predictor()
    settings = SampleConfig(length=40, prompt="a", temperature=2)
    before = sample(plain, Letters(LABELS), settings)
    assert sample(hold(plain, {"1.0": 9.0}), Letters(LABELS), settings) != before
    assert sample(plain, Letters(LABELS), settings) == before


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("0.317", (None, 0, 317)),
        ("cell.1.5", ("cell", 1, 5)),
        ("cell[1].5", ("cell", 1, 5)),
        ("cell[1] 5", ("cell", 1, 5)),
    ],
)
def test_names_of_units(text, place):
    unit = held_unit(text, 1.0)
    assert (unit.name, unit.layer, unit.number) == place


@pytest.mark.parametrize(
    ("units", "words"),
    [
        ({"2.0": 1.0}, "no layer 2; its layers are 0 to 1"),
        ({"0.9": 1.0}, "no unit 9; the units of a layer are 0 to 8"),
        ({"memory.0.1": 1.0}, "no state 'memory'; its states are hidden and cell"),
        ({"0": 1.0}, "names no unit"),
        ({"-1.0": 1.0}, "names no unit"),
        ({"0.1": float("nan")}, "cannot be held at nan"),
        ({"0.1": 1e39}, "cannot be held at"),
        ({"0.1": 1.0, "hidden.0.1": 2.0}, "at two values"),
    ],
    ids=str,
)
def test_units_that_do_not_exist_are_refused(units, words):
    with pytest.raises(UsageError, match=words):
        hold(predictor(), units)


def test_models_without_such_units_are_refused():
    class Counts:
        vocabulary_size = 7

    with pytest.raises(UsageError, match="count-based model has no units"):
        hold(Counts(), {"0.1": 1.0})
    other = predictor()
    other.network.recurrence = torch.nn.Identity()
    with pytest.raises(UsageError, match="not made of charpipe's recurrent layers"):
        hold(other, {"0.1": 1.0})
