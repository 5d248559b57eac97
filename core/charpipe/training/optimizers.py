"""PyTorch's optimizers as the settings ask for them, gradient clipping, and an optimizer's state as plain tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from charpipe.config.settings.training import TrainConfig
from charpipe.errors import RunError

ADAGRAD_INITIAL_SUM = 1e-8


def build_optimizer(network: nn.Module, settings: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer that `settings.optimizer` names. Weight decay applies to matrices, never to biases.

    RMSProp adds 1e-8 to the root of the mean square, as torch7's does. Adagrad adds 1e-8 under the root, as
    min-char-rnn does: the sum of squares starts there, and PyTorch's `eps`, which is added to the root, is 0.
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
            return torch.optim.Adagrad(
                groups, lr=rate, initial_accumulator_value=ADAGRAD_INITIAL_SUM, eps=0.0
            )
        case "adam":
            return torch.optim.Adam(groups, lr=rate, betas=settings.betas, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=rate, betas=settings.betas, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, learning_rate: float, momentum: float | None = None) -> None:
    """Set the learning rate of the next update and, unless it is None, the momentum (Adam: the first beta)."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
        if momentum is None:
            continue
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        elif "momentum" in group:
            group["momentum"] = momentum


def clip_gradient(network: nn.Module, settings: TrainConfig, *, measure: bool = False) -> Tensor | None:
    """Clip the gradient by its norm (Pascanu, Mikolov, Bengio 2013) or, as char-rnn does, each element by value.

    Returns the gradient's L2 norm before clipping, a scalar on the device. It costs nothing where the gradient is
    clipped by norm; otherwise it is computed only with `measure`, and the result is None without.
    """
    if settings.clip and settings.clip_by == "norm":
        return nn.utils.clip_grad_norm_(network.parameters(), settings.clip)
    norm = grad_norm(network) if measure else None
    if settings.clip:
        nn.utils.clip_grad_value_(network.parameters(), settings.clip)
    return norm


def grad_norm(network: nn.Module) -> Tensor:
    """The L2 norm of the gradients of all parameters together, a scalar on the device."""
    return nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])


def optimizer_state(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, Tensor]:
    """Copies of the optimizer's state tensors by `PARAMETER/KEY`, such as `head.weight/exp_avg`."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value.detach().clone().contiguous()
        for parameter, values in optimizer.state.items()
        for key, value in values.items()
        if isinstance(value, Tensor)
    }


def load_optimizer_state(
    optimizer: torch.optim.Optimizer, network: nn.Module, saved: Mapping[str, Tensor]
) -> None:
    """Load into a new optimizer what `optimizer_state` returned. Raises RunError if it is of another network."""
    parameters = dict(network.named_parameters())
    values: dict[str, dict[str, Tensor]] = {}
    for name, tensor in saved.items():
        parameter, _, key = name.rpartition("/")
        if parameter not in parameters or (tensor.ndim and tensor.shape != parameters[parameter].shape):
            raise RunError(f"the checkpoint's optimizer state has {name!r}, which this model has not")
        values.setdefault(parameter, {})[key] = tensor
    for parameter, kept in values.items():
        if other := next((one for one in values if values[one].keys() != kept.keys()), None):
            raise RunError(
                f"the checkpoint's optimizer state has other entries for {parameter!r} than for {other!r}"
            )
    state: dict[str, Any] = optimizer.state_dict()
    order = [p for group in optimizer.param_groups for p in group["params"]]
    names = {id(parameter): name for name, parameter in parameters.items()}
    state["state"] = {index: values[names[id(p)]] for index, p in enumerate(order) if names[id(p)] in values}
    optimizer.load_state_dict(state)
