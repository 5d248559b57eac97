"""What a unit is worth: the loss with it held equals that of a network computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch.nn import functional

from charpipe.cells import Cell
from charpipe.inspection import SIGNALS, Unit, ablate
from charpipe.inspection.held_copies import Copies, within_step
from charpipe.inspection.segments import RUN_UP
from charpipe.models import build_model
from charpipe_gru import charpipe_architectures as gru_architectures
from charpipe_lstm import charpipe_architectures as lstm_architectures
from letters import Letters
from recurrent_cells import PeepholeLstm, predictor_of, random_cells

((GRU,), (LSTM,)) = gru_architectures(), lstm_architectures()
SIGNAL = {signal.key: signal for signal in SIGNALS}
LETTERS = 'abcdefgh "\n'


def predictor(architecture=LSTM, layers: int = 2, size: int = 6):
    config = architecture.config(hidden_size=5, layers=layers)
    return build_model(architecture, config, {}, size, seed=3).predictor()


def ids(length: int = 12, streams: int = 3, size: int = 6) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, size, (length, streams)))


def models():
    return {
        "lstm": predictor(),
        "gru": predictor(GRU, layers=1),
        "peephole": predictor_of(PeepholeLstm(), 6),
        "no_cell": Remembering(),
    }


class Remembering:
    """A model that is no network: it predicts the token that its one unit holds, 0 or 1."""

    vocabulary_size = 6

    def initial_state(self, batch_size):
        return {"memory": torch.zeros(1, batch_size, 1)}

    def step(self, tokens, state):
        memory = (tokens % 2).float()[None, :, None]
        before = state["memory"][0, :, 0].long()
        return 3.0 * functional.one_hot(before, 6).float(), {"memory": memory}


@pytest.mark.parametrize("name", ["lstm", "gru", "peephole", "no_cell"])
def test_copies_without_held_unit_score_as_the_model(name: str) -> None:
    model, tokens = models()[name], ids()
    state, wanted = model.initial_state(3), []
    for place in range(len(tokens) - 1):
        logits, state = model.step(tokens[place], state)
        wanted.append(functional.cross_entropy(logits, tokens[place + 1], reduction="none"))
    found = Copies(model, [None, None], [0.0, 0.0], 3).score(tokens)
    assert found.shape == (11, 2, 3)
    for copy in range(2):
        torch.testing.assert_close(found[:, copy], torch.stack(wanted), rtol=1e-4, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(random_cells())
def test_copies_of_any_cell_score_as_the_model(cell: Cell) -> None:
    model, tokens = predictor_of(cell, 6, hidden_size=4, layers=2), ids()
    assert within_step(model) is not None
    nats, _ = model.score(tokens, model.initial_state(3))
    torch.testing.assert_close(
        Copies(model, [None], [0.0], 3).score(tokens)[:, 0], nats, rtol=1e-3, atol=1e-4
    )


@torch.no_grad()
def test_held_cell_of_lstm_equals_equations_by_hand() -> None:
    """Layer 0's cell 2 at 0.7: the output of the same step is computed from 0.7 already, and so is layer 1."""
    model, tokens = predictor(), ids()
    layer, head = model.network.recurrence.layer, model.network.head
    hidden, cell = torch.zeros(2, 3, 5), torch.zeros(2, 3, 5)
    wanted = []
    for place in range(len(tokens) - 1):
        given = functional.one_hot(tokens[place], 6).float()
        for n in range(2):
            weights = [
                layer.get_parameter(f"{name}_l{n}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            ]
            sums = given @ weights[0].T + hidden[n] @ weights[1].T + weights[2] + weights[3]
            i, f, g, o = sums.chunk(4, 1)
            cell[n] = f.sigmoid() * cell[n] + i.sigmoid() * g.tanh()
            if n == 0:
                cell[0, :, 2] = 0.7
            hidden[n] = o.sigmoid() * cell[n].tanh()
            given = hidden[n]
        wanted.append(functional.cross_entropy(head(given), tokens[place + 1], reduction="none"))
    found = Copies(model, [None, Unit("cell", 0, 2)], [0.0, 0.7], 3).score(tokens)
    torch.testing.assert_close(found[:, 1], torch.stack(wanted), rtol=1e-4, atol=1e-5)
    assert (found[:, 0] - found[:, 1]).abs().max() > 1e-3


@torch.no_grad()
def test_held_output_changes_logits_of_the_same_step() -> None:
    model, tokens = predictor(GRU, layers=1), ids()
    found = Copies(model, [Unit("hidden", 0, 4)], [0.9], 3).score(tokens)
    state, wanted = model.initial_state(3), []
    for place in range(len(tokens) - 1):
        _, state = model.step(tokens[place], state)
        state["hidden"][0, :, 4] = 0.9
        logits = model.network.head(state["hidden"][0])
        wanted.append(functional.cross_entropy(logits, tokens[place + 1], reduction="none"))
    torch.testing.assert_close(found[:, 0], torch.stack(wanted), rtol=1e-4, atol=1e-5)


def test_copies_do_not_influence_each_other() -> None:
    units = [Unit(tensor, layer, n) for tensor in ("hidden", "cell") for layer in (0, 1) for n in range(5)]
    values = np.linspace(-1, 1, len(units)).tolist()
    together = Copies(predictor(), units, values, 3).score(ids())
    for n in (0, 7, 19):
        alone = Copies(predictor(), [units[n]], [values[n]], 3).score(ids())
        torch.testing.assert_close(together[:, n], alone[:, 0], rtol=1e-4, atol=1e-5)


def test_model_that_is_no_network_is_held_between_steps() -> None:
    """Held at 1, it always predicts token 1, from the second step on."""
    model, tokens = Remembering(), torch.tensor([[0], [0], [0], [1], [1]])
    assert within_step(model) is None and within_step(predictor()) is not None
    found = Copies(model, [None, Unit("memory", 0, 0)], [0.0, 1.0], 1).score(tokens)
    right, wrong = (float(v) for v in -functional.log_softmax(torch.tensor([3.0, 0, 0, 0, 0, 0]), 0)[:2])
    assert found[:, 1, 0].tolist() == pytest.approx([right, wrong, right, right])
    assert found[:, 0, 0].tolist() == pytest.approx([right, right, wrong, wrong])


class Quotes:
    """Predicts a to d while its first unit is on, which is between quotes, and e to h while it is off; two other units
    do nothing."""

    vocabulary_size = len(LETTERS)
    QUOTE = LETTERS.index('"')
    LIKELY = torch.tensor([1.0] * 4 + [-1.0] * 4 + [0.0] * 3)

    def initial_state(self, batch_size):
        return {"open": torch.zeros(1, batch_size, 3)}

    def step(self, tokens, state):
        before = state["open"][0, :, 0].clone()
        now = torch.where(tokens == self.QUOTE, 1 - before, before)
        now = now * (tokens != LETTERS.index("\n"))
        logits = 2 * (2 * now[:, None] - 1) * self.LIKELY
        after = torch.zeros(1, len(tokens), 3)
        after[0, :, 0] = now
        return logits, {"open": after}


def quoted(words: int = 3000) -> np.ndarray:
    generator, parts = np.random.default_rng(5), []
    for number in range(words):
        inside = generator.random() < 0.4
        word = "".join(generator.choice(list("abcd" if inside else "efgh"), 3))
        parts.append(f'"{word}"' if inside else word)
        parts.append("\n" if number % 9 == 8 else " ")
    return Letters(LETTERS).encode("".join(parts))


def test_a_unit_that_is_used_raises_the_loss_and_others_do_not() -> None:
    signals = {Unit("open", 0, 0): SIGNAL["double_quotes"]}
    found = ablate(Quotes(), Letters(LETTERS), quoted(), signals, every=True)
    assert found is not None and not found.within_step and found.segments >= 8
    first, *others = found.rows
    assert first.unit == Unit("open", 0, 0) and first.signal is SIGNAL["double_quotes"]
    assert 0.2 < first.held_at < 0.6
    assert first.all.nats > 4 * first.all.error > 0
    assert first.on is not None and first.off is not None
    assert first.on.characters + first.off.characters == first.all.characters == found.characters
    both = first.on.nats * first.on.characters + first.off.nats * first.off.characters
    assert both == pytest.approx(first.all.nats * first.all.characters)
    assert [row.all.nats for row in others] == [0, 0] and all(row.on is None for row in others)


def test_error_is_that_of_segments_of_equal_length() -> None:
    """With as many characters in each segment it is the standard error of the segments' means."""
    tokens = quoted()
    found = ablate(Quotes(), Letters(LETTERS), tokens, {Unit("open", 0, 0): SIGNAL["double_quotes"]})
    assert found is not None and len(found.rows) == 1
    (row,) = found.rows
    starts = np.linspace(0, len(tokens) - 1024, found.segments).round().astype(int)
    columns = torch.from_numpy(np.stack([tokens[a : a + 1024] for a in starts], 1).astype("int64"))
    nats = Copies(Quotes(), [None, row.unit], [0.0, row.held_at], found.segments).score(columns).numpy()
    means = (nats[:, 1] - nats[:, 0])[RUN_UP:].mean(0)
    assert row.all.nats == pytest.approx(means.mean(), rel=1e-4)
    assert row.all.error == pytest.approx(means.std(ddof=1) / math.sqrt(found.segments), rel=1e-3)


def test_nothing_to_hold_gives_none() -> None:
    assert ablate(Quotes(), Letters(LETTERS), quoted(), {}) is None
    assert ablate(Quotes(), Letters(LETTERS), quoted()[:300], {}, every=True) is None
