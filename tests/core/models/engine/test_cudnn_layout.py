"""The layout for cuDNN's persistent kernels, compared with PyTorch's layers on a CPU in float32."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from charpipe.errors import UsageError
from charpipe.models import LanguageModel, TorchRecurrence
from charpipe.models.engine import choose_engine, cuda_graphs
from charpipe.models.engine.autograd import plain_forward
from charpipe.models.engine.cudnn_layout import (
    PERSISTENT,
    Layout,
    layout_for,
    padded_forward,
    padded_weights,
)
from charpipe.models.from_cell import build_from_cell
from charpipe.plugin import ArchitectureConfig, RecurrentConfig
from some_cells import MinimalGated

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
NAMES = {nn.LSTM: ("hidden", "cell"), nn.GRU: ("hidden",), nn.RNN: ("hidden",)}
VOCABULARY, BATCH_SIZE, STEPS = 11, 5, 7


def build(kind, size=24, layers=2, embedding=None, dropout=0.0, **others):
    torch.manual_seed(7)
    config = ArchitectureConfig(hidden_size=size, layers=layers, embedding_size=embedding, dropout=dropout)
    return LanguageModel(
        config,
        VOCABULARY,
        lambda inputs: TorchRecurrence(
            kind(inputs, size, layers, dropout=dropout if layers > 1 else 0.0), NAMES[kind], **others
        ),
    )


def read(network, forward, windows=2):
    """Logits, carried state and every gradient after some windows in a row."""
    ids = torch.randint(VOCABULARY, (STEPS + 1, BATCH_SIZE), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(2)
    state = {name: torch.randn_like(values) for name, values in network.initial_state(BATCH_SIZE).items()}
    network.zero_grad()
    for _ in range(windows):
        logits, state = forward(ids[:-1], {name: values.detach() for name, values in state.items()})
        functional.cross_entropy(logits.flatten(0, 1), ids[1:].flatten()).backward()
    return logits, state, {name: p.grad.clone() for name, p in network.named_parameters()}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("layout", [PERSISTENT, Layout(8, 8), Layout(7, 3), Layout(1, 1)])
@pytest.mark.parametrize("embedding", [None, 6])
def test_padding_changes_no_number(kind, layout, embedding):
    network = build(kind, embedding=embedding)
    padded, plain = (
        read(network, forward)
        for forward in (
            padded_forward(network, torch.float32, layout),
            plain_forward(network, CPU, "float32"),
        )
    )
    torch.testing.assert_close(padded, plain, rtol=1e-5, atol=1e-6)


def test_tied_embedding_gets_both_gradients():
    torch.manual_seed(7)
    config = ArchitectureConfig(hidden_size=24, embedding_size=24, tie_weights=True)
    network = LanguageModel(config, VOCABULARY, lambda i: TorchRecurrence(nn.LSTM(i, 24), NAMES[nn.LSTM]))
    plain = plain_forward(network, CPU, "float32")
    torch.testing.assert_close(
        read(network, padded_forward(network, torch.float32, PERSISTENT)),
        read(network, plain),
        rtol=1e-5,
        atol=1e-6,
    )


def test_weights_are_contiguous_in_cudnn_order():
    network = build(nn.LSTM, layers=1)
    weights = padded_weights(network.recurrence, 0, 128, 128, torch.float16)
    assert [tuple(one.shape) for one in weights] == [(512, 128), (512, 128), (512,), (512,)]
    places = [one.data_ptr() for one in weights]
    sizes = [one.nbytes for one in weights]
    assert [b - a for a, b in pairwise(places)] == sizes[:-1]
    assert weights[0].untyped_storage().nbytes() == sum(sizes)
    assert weights[0].is_contiguous()


@pytest.mark.parametrize(("locked", "recurrent_dropout"), [(False, 0.0), (True, 0.0), (True, 0.3)])
def test_dropout_has_the_mean_of_the_plain_network(locked, recurrent_dropout):
    network = build(nn.LSTM, dropout=0.4, locked=locked, recurrent_dropout=recurrent_dropout).train()
    forward = padded_forward(network, torch.float32, Layout(8, 1))
    ids, state = torch.zeros(4, BATCH_SIZE, dtype=torch.int64), network.initial_state(BATCH_SIZE)
    torch.manual_seed(1)
    one = forward(ids, state)[0]
    assert not torch.equal(one, forward(ids, state)[0])
    torch.manual_seed(1)
    assert torch.equal(one, forward(ids, state)[0])
    mean = torch.stack([forward(ids, state)[0].detach() for _ in range(300)]).mean(0)
    torch.manual_seed(1)
    expected = torch.stack([network(ids, state)[0].detach() for _ in range(300)]).mean(0)
    torch.testing.assert_close(mean, expected, rtol=0.1, atol=0.05)
    network.eval()
    torch.testing.assert_close(forward(ids, state)[0], network(ids, state)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "size", "batch_size", "precision", "expected"),
    [
        (nn.LSTM, 512, 32, "float16", PERSISTENT),
        (nn.LSTM, 100, 121, "float16", PERSISTENT),
        (nn.RNN, 1000, 128, "float16", PERSISTENT),
        (nn.GRU, 512, 32, "float16", None),
        (nn.LSTM, 512, 32, "bfloat16", None),
        (nn.LSTM, 512, 32, "float32", None),
        (nn.LSTM, 1025, 32, "float16", None),
        (nn.LSTM, 512, 129, "float16", None),
    ],
)
def test_layout_is_chosen_where_cudnn_has_a_kernel(kind, size, batch_size, precision, expected):
    with torch.device("meta"):
        network = build(kind, size, layers=1)
    assert layout_for(network, batch_size, precision) == expected
    assert cuda_graphs.fitting_precision(network, batch_size) == (
        "float16" if layout_for(network, batch_size, "float16") else "bfloat16"
    )


def test_without_such_a_kernel_the_plain_forward_is_used():
    def kind(layers, dropout, precision):
        with torch.device("meta"):
            network = build(nn.GRU, layers=layers, dropout=dropout)
        return cuda_graphs.forward_on_cuda(network, CUDA, precision, 32).__module__

    plain, padded = "charpipe.models.engine.autograd", "charpipe.models.engine.cudnn_layout"
    assert [kind(1, 0.5, "bfloat16"), kind(3, 0.0, "bfloat16"), kind(3, 0.5, "float16")] == [
        plain,
        plain,
        padded,
    ]


def test_unsupported_networks_are_refused_with_a_reason():
    with pytest.raises(UsageError, match="cuda-graphs cannot train this: it is for CUDA"):
        choose_engine(build(nn.LSTM), CPU, "float32", "cuda-graphs")
    with pytest.raises(UsageError, match="not one of PyTorch's"):
        choose_engine(nn.Linear(1, 1), CUDA, "float16", "cuda-graphs")
    assert choose_engine(build(nn.LSTM), CUDA, "float16", "auto")[0] == "plain"


def test_cell_with_dropout_between_layers_keeps_its_own_forward():
    """Its dropout is PyTorch's, not cuDNN's, and there is no function of cuDNN for it."""
    torch.manual_seed(3)
    network = build_from_cell(
        MinimalGated, RecurrentConfig(hidden_size=8, layers=2, dropout=0.3), VOCABULARY
    ).eval()
    forward = cuda_graphs.forward_on_cuda(network, CUDA, "float32", BATCH_SIZE)
    found, expected = read(network, forward), read(network, network)
    torch.testing.assert_close(found, expected)
