"""Devices and precisions: what is asked for, or the best there is."""

import pytest
import torch

from charpipe.errors import UsageError
from charpipe.models.precision import autocast, choose_device, choose_precision

CPU = torch.device("cpu")


def test_what_is_asked_for_is_taken():
    assert choose_device("cpu") == CPU
    assert choose_precision("float32", CPU) == "float32"
    assert choose_precision("bfloat16", CPU) == "bfloat16"


def test_auto_chooses_something_that_works():
    assert choose_precision("auto", CPU) in ("float32", "bfloat16")
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("asked", ["cuda:99", "cuda:7"])
def test_a_device_that_is_not_there(asked):
    with pytest.raises(UsageError, match=asked):
        choose_device(asked)


def test_float16_needs_cuda():
    with pytest.raises(UsageError, match="CUDA"):
        choose_precision("float16", CPU)


@pytest.mark.parametrize("layers", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
def test_bfloat16_works_on_every_processor(layers):
    network = layers(16, 16)
    with autocast(CPU, "bfloat16"):
        outputs, _ = network(torch.randn(5, 3, 16))
    outputs.float().sum().backward()
    assert torch.isfinite(network.weight_hh_l0.grad).all()
