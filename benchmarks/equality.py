"""Whether charpipe's updates equal those of a plain PyTorch loop from the same weights on the same characters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from plain_loop import Plain, Shape, copy_weights, pairs, plain_network, plain_step
from updates import our_training

from charpipe.plugin import Architecture
from charpipe.training.update import build_update

SHAPE: Shape = (2, 96, 8, 16)
UPDATES = 6
GRADIENTS = 2
"""Of the first updates, whose gradients are compared; later ones differ by what rounding does to Adam's steps."""
TOLERANCE = {"float32": (2e-3, 1e-2), "bfloat16": (2e-2, 5e-2), "float16": (1e-2, 5e-2)}
"""Largest relative difference of a loss, and of a gradient as a whole. On a GPU float32 is multiplied as TF32."""
RATE = 1e-3
"""The learning rate of the plain loop."""
SETTINGS: dict[str, Any] = {"betas": (0.9, 0.999), "weight_decay": 0.0}
"""As the plain loop has them."""


def check(architecture: Architecture, engine: str, precision: str, device: torch.device) -> dict[str, Any]:
    """A row: whether all losses and the first gradients are equal, and their largest relative differences.

    The plain loop beside float16 is in float32. On a CPU the work that `cuda-graphs` captures is done eagerly.
    """
    row: dict[str, Any] = {
        "arch": architecture.name,
        "engine": engine,
        "precision": precision,
        "equal": False,
    }
    try:
        losses, gradients = differences(architecture, engine, precision, device)
    except Exception as error:
        return row | {"failed": said(error)}
    limits = TOLERANCE[precision]
    equal = losses <= limits[0] and gradients <= limits[1]  # not if either is NaN
    return row | {"losses": losses, "gradients": gradients, "equal": equal}


def differences(
    architecture: Architecture, engine: str, precision: str, device: torch.device
) -> tuple[float, float]:
    """The largest relative differences of the losses and of the first gradients to those of the plain loop."""
    here = engine if device.type == "cuda" else "plain"
    setup, state = our_training(architecture, SHAPE, str(device), precision, here, **SETTINGS)
    setup = replace(setup, engine=engine)
    network: Any = setup.model.network
    plain = plain_network(architecture, setup.model.config, network).to(device)
    assert isinstance(plain, Plain)
    copy_weights(network, plain)
    ids = torch.zeros(SHAPE[3] + 1, SHAPE[2], dtype=torch.int64, device=device)
    theirs = plain_step(plain, plain, ids, None, autocast=precision == "bfloat16", weight_decay=0.0)
    ours = build_update(setup, state)
    of_losses, of_gradients = [], []
    for step in range(UPDATES):
        inputs, targets = setup.batches.read(step)
        ids.copy_(torch.cat([inputs, targets[-1:]]))
        expected, found = float(theirs()), float(ours(step, RATE)["loss"])
        state.step += 1
        of_losses.append(abs(found / expected - 1))
        if step < GRADIENTS:
            of_gradients += [difference(*pair) for pair in pairs(network, plain).values()]
    return largest(of_losses), largest(of_gradients)


def difference(ours: torch.nn.Parameter, theirs: torch.nn.Parameter) -> float:
    """The norm of the difference of two gradients, relative to the second; infinite if one is missing."""
    if ours.grad is None or theirs.grad is None:
        return float("inf")
    one, other = ours.grad.double(), theirs.grad.double()
    return float((one - other).norm() / other.norm().clamp_min(1e-12))


def largest(values: list[float]) -> float:
    """The largest of some numbers, NaN if any is NaN."""
    return float(torch.tensor(values, dtype=torch.float64).max())


def said(error: Exception) -> str:
    """An error in a line, for a table."""
    return f"{type(error).__name__}: {error}".splitlines()[0].replace("|", "/")
