"""Resets at end tokens: a window with ends inside equals its documents run separately from the zero state."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from charpipe.errors import RunError, UsageError
from charpipe.kernels.jit.processor import this_processor
from charpipe.models import LanguageModel, NetworkPredictor, build_model
from charpipe.models.engine import choose_engine
from charpipe.models.engine.cuda_graphs import forward_on_cuda
from charpipe.models.from_cell import build_from_cell
from charpipe.models.resets import end_token_of
from charpipe.plugin import RecurrentConfig
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from charpipe_rnn import charpipe_architectures as rnn
from some_cells import CELLS

CPU, VOCABULARY, END, BATCH_SIZE, STEPS = torch.device("cpu"), 7, 2, 5, 12
fast = pytest.mark.skipif(this_processor() is None, reason="the engine needs AVX2 or AVX-512")
ENGINES = ["plain", pytest.param("fast", marks=fast)]


class Echo(nn.Module):
    """A module of a plugin that is made of no cell, and whose initial state is not zero."""

    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(VOCABULARY, 6), nn.Linear(6, VOCABULARY)
        self.first = nn.Parameter(torch.full((1, 1, 6), 0.3))

    def initial_state(self, batch_size):
        return {"trace": self.first.expand(1, batch_size, 6)}

    def forward(self, ids, state):
        trace, outputs = state["trace"][0], []
        for values in self.embedding(ids):
            trace = torch.tanh(0.7 * trace + values)
            outputs.append(trace)
        return self.head(torch.stack(outputs)), {"trace": trace[None]}


def network_of(name, **settings):
    torch.manual_seed(3)
    if name == "module":
        return Echo()
    found = {one.name: one for hook in (rnn, lstm, gru) for one in hook()}
    settings = {"dropout": 0.0, "recurrent_dropout": 0.0} | settings
    if name in found:
        one = found[name]
        return build_model(one, one.config(hidden_size=24, **settings), {}, VOCABULARY).network
    cell = next(one for one in CELLS if one.__name__ == name)
    return build_from_cell(cell, RecurrentConfig(hidden_size=24, **settings), VOCABULARY)


def separately(network, ids, state):
    """Nats [T, B] and the state after, with each stretch between ends run by itself: the first from `state`."""
    nats, after = torch.zeros(len(ids) - 1, ids.shape[1]), []
    for stream in range(ids.shape[1]):
        column, own = ids[:, stream : stream + 1], {k: v[:, stream : stream + 1] for k, v in state.items()}
        starts = [0, *(t for t in range(1, len(ids) - 1) if column[t] == END), len(ids) - 1]
        rows = []
        for start, stop in itertools.pairwise(starts):
            own = network.initial_state(1) if column[start] == END else own
            logits, own = network(column[start:stop], own)
            rows.append(
                functional.cross_entropy(logits[:, 0], column[start + 1 : stop + 1, 0], reduction="none")
            )
        nats[:, stream] = torch.cat(rows)
        after.append(own)
    return nats, {name: torch.cat([one[name] for one in after], 1) for name in state}


def windows(seed=1, steps=STEPS, batch_size=BATCH_SIZE):
    ids = torch.randint(
        VOCABULARY, (2 * steps + 1, batch_size), generator=torch.Generator().manual_seed(seed)
    )
    ids[0, 0] = ids[steps, 1] = ids[steps - 1, 2] = ids[2 * steps, 3] = END  # at the edges of the windows
    return ids[: steps + 1], ids[steps:]


def both(network, engine, **sizes):
    """What the engine computes over two windows, and what the documents run separately give."""
    plain = copy.deepcopy(network)
    network.end_token = END
    first = windows(**sizes)[0].shape[1]
    name, update = choose_engine(network, CPU, "float32", engine, batch_size=first)
    assert name == engine
    torch.manual_seed(2)
    state = {k: torch.randn_like(v) for k, v in network.initial_state(first).items()}
    expected, found = [], []
    own = {name: value.clone() for name, value in state.items()}
    for ids in windows(**sizes):
        network.zero_grad()
        loss, state = update(ids[:-1], ids[1:], state, 1.0)
        found.append((loss, state, {k: p.grad.clone() for k, p in network.named_parameters()}))
        plain.zero_grad()
        nats, own = separately(plain, ids, {name: value.detach() for name, value in own.items()})
        nats.mean().backward()
        gradients = {k: p.grad for k, p in plain.named_parameters()}
        expected.append(
            (nats.mean().detach(), {k: v.detach() for k, v in own.items()}, copy.deepcopy(gradients))
        )
    return found, expected


def assert_equal(found, expected):
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine[0], theirs[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(mine[1], theirs[1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mine[2], theirs[2], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", *(cell.__name__ for cell in CELLS)])
def test_loss_and_gradients_equal_documents_run_separately(name, layers, engine):
    assert_equal(*both(network_of(name, layers=layers), engine))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("steps", "batch_size"), [(1, 4), (30, 4), (3, 21)])
def test_windows_of_any_size_reset(engine, steps, batch_size):
    assert_equal(*both(network_of("lstm", embedding_size=5), engine, steps=steps, batch_size=batch_size))


def test_module_without_a_cell_starts_from_its_own_initial_state():
    assert_equal(*both(network_of("module"), "plain"))


@pytest.mark.parametrize("locked", [False, True])
def test_dropout_draws_as_without_ends(locked):
    """Between layers and of recurrent weights, one mask a window where that is asked for."""
    network = network_of("lstm", layers=2, dropout=0.4, locked_dropout=locked, recurrent_dropout=0.3).train()
    ids, state = torch.full((6, 3), 1), network.initial_state(3)
    torch.manual_seed(5)
    without = network(ids, state)[0]
    network.end_token = END  # which the ids do not have
    torch.manual_seed(5)
    torch.testing.assert_close(network(ids, state)[0], without)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "module", *(cell.__name__ for cell in CELLS)])
def test_scores_equal_documents_scored_separately(name):
    network = network_of(name)
    expected, after = separately(network, windows()[0], network.initial_state(BATCH_SIZE))
    network.end_token = END
    predictor = NetworkPredictor(network, VOCABULARY)
    nats, state = predictor.score(windows()[0], network.initial_state(BATCH_SIZE))
    torch.testing.assert_close(nats, expected.detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(state, {k: v.detach() for k, v in after.items()}, rtol=1e-4, atol=1e-5)
    token = torch.full((BATCH_SIZE,), END)
    anew, _ = predictor.step(token, network.initial_state(BATCH_SIZE))
    torch.testing.assert_close(predictor.step(token, state)[0], anew)


def test_a_network_without_end_token_is_unchanged():
    network = network_of("lstm")
    assert end_token_of(network) is None
    assert isinstance(network, LanguageModel)
    ids = windows()[0]
    torch.testing.assert_close(
        NetworkPredictor(network, VOCABULARY)._forward(ids, network.initial_state(BATCH_SIZE))[0],
        network(ids, network.initial_state(BATCH_SIZE))[0].detach(),
    )


@pytest.mark.parametrize("token", [-1, VOCABULARY, True, "2"])
def test_an_end_token_outside_the_vocabulary_is_refused(token):
    one = lstm()[0]
    with pytest.raises(RunError, match="end token"):
        build_model(one, one.config(hidden_size=8), {"end_token": token}, VOCABULARY)


def test_a_captured_update_refuses_ends(monkeypatch):
    network = network_of("lstm")
    network.end_token = END
    with pytest.raises(UsageError, match="ends of documents"):
        forward_on_cuda(network, torch.device("cuda"), "float16", 8)
