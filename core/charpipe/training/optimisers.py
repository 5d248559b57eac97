"""The update rules, the bound on the gradient, and an optimiser's memory as plain tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from charpipe.errors import RunError
from charpipe.training.settings import TrainConfig

UNDER_THE_ROOT = 1e-8


def build_optimizer(network: nn.Module, settings: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser asked for. Weight decay pulls matrices, never biases.

    RMSProp adds 1e-8 to the root, as torch7's does; Adagrad adds it under the root, as min-char-rnn does.
    """
    groups = [
        {"params": [p for p in network.parameters() if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in network.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate, momentum = settings.learning_rate, settings.momentum
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=momentum)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr=rate, alpha=settings.decay, momentum=momentum)
        case "adagrad":
            return torch.optim.Adagrad(groups, lr=rate, initial_accumulator_value=UNDER_THE_ROOT, eps=0.0)
        case "adam":
            return torch.optim.Adam(groups, lr=rate, betas=settings.betas, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=rate, betas=settings.betas, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, rate: float, momentum: float | None = None) -> None:
    """The learning rate of the next update, and its momentum if it is another one now, in every group."""
    for group in optimizer.param_groups:
        group["lr"] = rate
        if momentum is None:
            continue
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif "momentum" in group:
            group["momentum"] = momentum


def clip_gradient(network: nn.Module, settings: TrainConfig) -> None:
    """Bound the whole gradient's norm (Pascanu, Mikolov, Bengio 2013) or, as char-rnn does, each element."""
    if settings.clip == 0:
        return
    if settings.clip_by == "norm":
        nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
    else:
        nn.utils.clip_grad_value_(network.parameters(), settings.clip)


def memory(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, Tensor]:
    """All that the optimiser remembers, by `parameter/name`."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value.detach().clone().contiguous()
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def restore_memory(optimizer: torch.optim.Optimizer, network: nn.Module, saved: Mapping[str, Tensor]) -> None:
    """Give a new optimiser what `memory` kept. Raises RunError if it belongs to another network."""
    parameters = dict(network.named_parameters())
    values: dict[str, dict[str, Tensor]] = {}
    for name, tensor in saved.items():
        parameter, _, key = name.rpartition("/")
        if parameter not in parameters or (tensor.ndim and tensor.shape != parameters[parameter].shape):
            raise RunError(f"the checkpoint's optimiser has {name!r}, which this model has not")
        values.setdefault(parameter, {})[key] = tensor
    for parameter, kept in values.items():
        if other := next((one for one in values if values[one].keys() != kept.keys()), None):
            raise RunError(
                f"the checkpoint's optimiser remembers other things of {parameter!r} than of {other!r}"
            )
    state: dict[str, Any] = optimizer.state_dict()
    order = [p for group in optimizer.param_groups for p in group["params"]]
    names = {id(parameter): name for name, parameter in parameters.items()}
    state["state"] = {place: values[names[id(p)]] for place, p in enumerate(order) if names[id(p)] in values}
    optimizer.load_state_dict(state)
