"""Lower precision: near the float32 path where it can be had, a clear sentence where not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_samplers import LABELS

from charpipe.errors import UsageError
from charpipe.generation import SampleConfig, sample_many
from charpipe.kernels.jit.numba_functions import can_compile
from charpipe.models import StepwiseStream, build_model, standard_modules
from charpipe.models.streams.selection import open_batches
from charpipe.models.streams.stepwise import StepwiseBatch
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from charpipe_rnn import charpipe_architectures as rnn
from letters import Letters

ARCHITECTURES = [item for hook in (rnn, lstm, gru) for item in hook()]


@pytest.fixture(params=ARCHITECTURES, ids=lambda item: item.name)
def predictor(request):
    architecture = request.param
    config = architecture.config(hidden_size=32, layers=2)
    return build_model(architecture, config, {}, len(LABELS)).predictor()


def has_eight_bits(predictor):
    if not can_compile():
        return False
    from charpipe.kernels.step.int8 import is_supported

    return is_supported(standard_modules(predictor))


def test_eight_bits_are_near(predictor):
    if not has_eight_bits(predictor):
        pytest.skip("eight bits need numba and a processor with VNNI or AMX")
    state, count = predictor.initial_state(20), 20
    (quick,), plain = open_batches(predictor, state, "int8")[:1], StepwiseBatch(predictor, state)
    generator = np.random.default_rng(0)
    for _ in range(30):
        tokens = generator.integers(len(LABELS), size=count)
        wanted, found = plain.step(tokens)[: quick.size], quick.step(tokens[: quick.size])
    np.testing.assert_allclose(found, wanted, atol=0.05 * wanted.std() + 0.02)
    assert abs(found - wanted).max() > 0  # it is another precision


def test_texts_in_eight_bits(predictor):
    if not has_eight_bits(predictor):
        pytest.skip("eight bits need numba and a processor with VNNI or AMX")
    threads = torch.get_num_threads()
    wanted = SampleConfig(length=100, precision="int8", prompt="ab")
    texts = sample_many(predictor, Letters(LABELS), 20, wanted)
    assert {len(text) for text in texts} == {102}
    assert texts == sample_many(predictor, Letters(LABELS), 20, wanted)
    assert torch.get_num_threads() == threads


def test_where_eight_bits_are_not_to_be_had(predictor):
    class Unknown:
        vocabulary_size = predictor.vocabulary_size
        initial_state, step, score = predictor.initial_state, predictor.step, predictor.score

    with pytest.raises(UsageError, match="say --precision float32"):
        sample_many(Unknown(), Letters(LABELS), 2, SampleConfig(precision="int8"))
    assert len(sample_many(Unknown(), Letters(LABELS), 2, SampleConfig(precision="auto", length=5))[0]) == 5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_recorded_step_is_the_plain_one(predictor):
    from charpipe.models.streams.cuda_graphs import GraphStream

    predictor.network.cuda()
    predictor = type(predictor)(predictor.network, len(LABELS))
    state = predictor.initial_state(1)
    quick, plain = GraphStream(predictor, state), StepwiseStream(predictor, state)
    for token in (3, 1, 4, 1, 5):
        np.testing.assert_allclose(quick.step(token), plain.step(token), atol=1e-4)
