"""The training kernels by AMX, which loops emulate: losses, state, gradients and scores against PyTorch's layers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from charpipe.kernels.jit.processor import this_processor

if this_processor() is None:
    pytest.skip("the engine needs AVX2 or AVX-512", allow_module_level=True)

from amx_processors import EMULATED, SAPPHIRE_RAPIDS, processors_with_amx
from charpipe.kernels.jit.compiler import optimized, target_machine
from charpipe.kernels.jit.values import BFLOAT16
from charpipe.kernels.train import threads as kernel_threads
from charpipe.kernels.train.codegen.amx_weight_gradient import AMX_ROWS_AT_ONCE, AmxWeightGradient
from charpipe.kernels.train.codegen.backward_sweep import BackwardSweep
from charpipe.kernels.train.codegen.cell_step import CellStep
from charpipe.kernels.train.codegen.cross_entropy import CrossEntropy
from charpipe.kernels.train.codegen.forward_sweep import ForwardSweep
from charpipe.kernels.train.codegen.products import InputGradient
from charpipe.kernels.train.codegen.sweep_spec import SweepSpec, saved_stride
from charpipe.kernels.train.scoring import CompiledScorer
from charpipe.models import LanguageModel, NetworkPredictor, TorchRecurrence
from charpipe.models.engine import choose_engine, obstacle
from charpipe.models.from_cell import build_from_cell
from charpipe.models.standard import modules_of
from charpipe.plugin import RecurrentConfig
from some_cells import CELLS

CPU = torch.device("cpu")
KINDS = {nn.LSTM: ("hidden", "cell"), nn.GRU: ("hidden",), nn.RNN: ("hidden",)}


@pytest.fixture(autouse=True, params=processors_with_amx(), ids=lambda each: each.amx)
def processor(request, monkeypatch):
    """A processor with AMX, in place of this one."""
    for module in ("kernels.train.network", "models.engine.support"):
        monkeypatch.setattr(f"charpipe.{module}.this_processor", lambda: request.param)
    return request.param


def build(kind, size=40, layers=2, vocabulary=70, embedding=None, dropout=0.0):
    torch.manual_seed(7)
    config = RecurrentConfig(hidden_size=size, layers=layers, embedding_size=embedding, dropout=dropout)
    return LanguageModel(
        config, vocabulary, lambda inputs: TorchRecurrence(kind(inputs, size, layers), KINDS[kind])
    )


def results(network, engine, precision, batch_size=5, steps=7, threads=1):
    """Losses, the state and the gradients of two windows in a row, from a state that is not zero."""
    update = choose_engine(network, CPU, precision, engine, batch_size=batch_size, threads=threads)[1]
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(network.vocabulary_size, (2 * steps + 1, batch_size), generator=generator)
    torch.manual_seed(2)
    state = {name: torch.randn_like(each) for name, each in network.initial_state(batch_size).items()}
    losses, gradients = [], []
    for first in (0, steps):
        network.zero_grad()
        loss, state = update(ids[first : first + steps], ids[first + 1 : first + steps + 1], state, 1.0)
        losses.append(loss)
        gradients.append({name: p.grad.clone() for name, p in network.named_parameters()})
    return torch.stack(losses), state, gradients


def distance(found, exact):
    """The largest distance of a gradient, in its own size."""
    return max(((found[name] - exact[name]).norm() / exact[name].norm()).item() for name in exact)


def assert_as_near_as_autocast(network, **sizes):
    exact = results(network, "plain", "float32", **sizes)
    fast, plain = (results(network, engine, "bfloat16", **sizes) for engine in ("fast", "plain"))
    torch.testing.assert_close(fast[0], exact[0], rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(fast[1], exact[1], rtol=0.05, atol=0.05)
    assert all(
        distance(a, c) < 1.5 * distance(b, c) for a, b, c in zip(fast[2], plain[2], exact[2], strict=True)
    )


def assert_as_in_vector_registers(network, **sizes):
    by_amx = results(network, "fast", "bfloat16", **sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charpipe.kernels.train.network.this_processor", lambda: replace(EMULATED, amx="off"))
        by_vectors = results(network, "fast", "bfloat16", **sizes)
    torch.testing.assert_close(by_amx[0], by_vectors[0], rtol=1e-4, atol=1e-4)
    assert all(distance(a, b) < 1e-3 for a, b in zip(by_amx[2], by_vectors[2], strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("embedding", "vocabulary", "batch_size", "steps"),
    [
        (None, 11, 1, 1),
        (6, 70, 37, 3),  # blocks of 19 and 18 streams
        (None, 70, 9, 65),  # more rows than a gradient sums at once
    ],
)
def test_bfloat16_is_as_near_to_float32_as_autocast(kind, embedding, vocabulary, batch_size, steps):
    network = build(kind, vocabulary=vocabulary, embedding=embedding)
    assert_as_near_as_autocast(network, batch_size=batch_size, steps=steps)


@pytest.mark.parametrize("cell", CELLS)
def test_cells_equal_those_multiplied_in_vector_registers(cell):
    """Also those whose gradients jump where bfloat16 rounds another way: only the order of float32 sums differs."""
    torch.manual_seed(3)
    assert_as_in_vector_registers(build_from_cell(cell, RecurrentConfig(hidden_size=24, layers=2), 11))


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_streams_that_start_from_the_zero_state_equal_those_in_vector_registers(kind, layers):
    """One token in five ends a document; 37 streams are a block of 19 and one of 18."""
    network = build(kind, layers=layers, vocabulary=5)
    network.end_token = 3
    assert_as_in_vector_registers(network, batch_size=37)


@pytest.mark.parametrize("cell", CELLS)
def test_cells_start_from_the_zero_state_as_in_vector_registers(cell):
    torch.manual_seed(3)
    network = build_from_cell(cell, RecurrentConfig(hidden_size=24, layers=2), 11)
    network.end_token = 3
    assert_as_in_vector_registers(network, batch_size=9)


def test_result_is_bit_equal_for_any_number_of_threads(monkeypatch):
    network = build(nn.GRU, dropout=0.3)
    network.end_token = 4
    torch.manual_seed(5)
    alone = results(network, "fast", "bfloat16", batch_size=35)
    monkeypatch.setattr(kernel_threads, "MIN_PRODUCTS", 1)
    torch.manual_seed(5)
    shared = results(network, "fast", "bfloat16", batch_size=35, threads=3)
    torch.testing.assert_close(alone, shared, rtol=0, atol=0)


@pytest.mark.parametrize("end_token", [None, 4])
def test_scores_are_near_to_float32(end_token):
    network = build(nn.GRU)
    network.end_token = end_token
    ids = torch.randint(70, (30, 19), generator=torch.Generator().manual_seed(4))
    state = network.initial_state(19)
    found, after = CompiledScorer(modules_of(network), torch.bfloat16)(ids, state)
    expected, exact = NetworkPredictor(network, 70)._score(ids, state)
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    torch.testing.assert_close(after, exact, rtol=0.02, atol=0.02)


def test_float32_is_not_multiplied_by_amx():
    network = build(nn.LSTM)
    fast, plain = (results(network, engine, "float32") for engine in ("fast", "plain"))
    torch.testing.assert_close(fast[2], plain[2], rtol=1e-4, atol=1e-6)


def test_emulated_processor_trains_bfloat16(processor):
    assert processor.multiplies_bfloat16
    network = build(nn.RNN)
    assert obstacle(network, CPU, "bfloat16") is None
    network.end_token = 4
    assert obstacle(network, CPU, "bfloat16") is None


def lstm_kernels():
    """All kernels that multiply, of two layers of 512 units and 65 tokens, for 32 and for 19 and 18 streams."""
    cell, units, tokens = CellStep(modules_of(build(nn.LSTM)).trace), 512, 96
    stride = saved_stride(cell, units)
    for sizes in ((32,), (19, 18)):
        yield ForwardSweep, SweepSpec(cell, BFLOAT16, units, 0, sizes)
        yield ForwardSweep, SweepSpec(cell, BFLOAT16, units, units, sizes)
        yield BackwardSweep, SweepSpec(cell, BFLOAT16, units, 0, sizes)
        yield InputGradient, BFLOAT16, stride, cell.input_gates, units, units, sizes
        yield CrossEntropy, BFLOAT16, units, tokens, sizes
    yield AmxWeightGradient, BFLOAT16, stride, units, AMX_ROWS_AT_ONCE


@pytest.mark.parametrize(("kernel", "spec"), [(first, rest) for first, *rest in lstm_kernels()])
def test_kernels_compile_to_instructions_of_amx(kernel, spec):
    """For a processor with AMX, on any. Tiles are configured and released once; no product is left to AVX-512."""
    machine = target_machine(SAPPHIRE_RAPIDS)
    text = machine.emit_assembly(optimized(machine, kernel(SAPPHIRE_RAPIDS, *spec).llvm_ir()))
    for name in ("tileloadd", "tdpbf16ps", "tilestored"):
        assert name in text
    assert text.count("ldtilecfg") == 1
    assert text.count("tilerelease") == 1
    assert "vdpbf16ps" not in text


@given(st.integers(1, 70), st.sampled_from([3, 33]))
@settings(max_examples=4, deadline=None)
def test_any_number_of_streams(batch_size, size):
    assert_as_in_vector_registers(build(nn.RNN, size, 1, vocabulary=9), batch_size=batch_size, steps=2)
