"""Every stream reads contiguous text, and a step's tokens depend on the seed and the step only."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charpipe.errors import UsageError
from charpipe.training.batches import fit_batches


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 2000), st.integers(1, 70), st.integers(1, 70), st.integers(0, 5))
def test_streams_are_contiguous_within_an_epoch(count, batch_size, window, seed):
    batches = fit_batches(np.arange(count, dtype=np.uint16), batch_size, window, seed)
    assert batches.batch_size <= batch_size
    assert batches.window <= window
    seen = []
    for step in range(batches.steps_per_epoch):
        inputs, targets = batches.read(step)
        assert inputs.shape == (batches.window, batches.batch_size)
        assert (targets == inputs + 1).all()
        if not batches.starts_epoch(step):
            assert (inputs[0] == seen[-1][-1] + 1).all()
        seen.append(inputs)
    read = np.concatenate([inputs.numpy().ravel() for inputs in seen])
    assert len(set(read.tolist())) == len(read), "no character is read twice in a pass"
    assert len(read) > count - 1 - batches.tokens_per_step, "what is left out is less than a step"


def test_a_step_can_be_read_at_any_time():
    batches = fit_batches(np.arange(1000, dtype=np.uint16), 4, 8, seed=3)
    later = [batches.read(step)[0] for step in range(100)]
    assert all((batches.read(step)[0] == later[step]).all() for step in reversed(range(100)))


def test_passes_and_seeds_begin_at_different_places():
    tokens = np.arange(1000, dtype=np.uint16)
    batches = [fit_batches(tokens, 4, 50, seed) for seed in range(9)]
    assert len({int(each.read(0)[0][0, 0]) for each in batches}) > 4
    assert len({int(batches[0].read(epoch * 4)[0][0, 0]) for epoch in range(9)}) > 4


def test_below_two_tokens_there_is_nothing_to_predict():
    with pytest.raises(UsageError, match=r"too short to train on.*at least two"):
        fit_batches(np.zeros(1, np.uint8), 1, 1, 0)
