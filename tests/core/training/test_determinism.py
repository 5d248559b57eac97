"""What `--deterministic` asks of PyTorch, and that it asks no longer than a training lasts."""

import os

import pytest
import torch

from charpipe.training.determinism import WORKSPACE, determinism


@pytest.mark.parametrize("asked", [True, False])
def test_only_kernels_that_repeat_themselves_are_taken_while_it_trains(settings, monkeypatch, asked):
    monkeypatch.delenv(WORKSPACE, raising=False)
    with determinism(settings(deterministic=asked)):
        assert torch.are_deterministic_algorithms_enabled() == asked
        assert os.environ.get(WORKSPACE) == (":4096:8" if asked else None)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_workspace_that_the_user_set_stays(settings, monkeypatch):
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with determinism(settings(deterministic=True)):
        assert os.environ[WORKSPACE] == ":16:8"


def test_what_was_set_before_is_set_again(settings):
    torch.use_deterministic_algorithms(True)
    try:
        with determinism(settings(deterministic=True)):
            pass
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_two_trainings_on_cuda_end_with_the_same_bits(name, new_model, tokens, settings, tmp_path):
    from charpipe.training import train

    found = []
    for place in ("one", "two"):
        model = new_model(name)
        chosen = settings(steps=20, device="cuda", deterministic=True)
        list(train(model, tokens, chosen, checkpoints=tmp_path / place))
        found.append([values.detach().cpu() for values in model.network.parameters()])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))
