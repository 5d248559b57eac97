"""The engine `plain`: the network's own forward pass, with gradients by autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.models.contract import State, detach
from charpipe.models.precision import Precision, autocast
from charpipe.models.resets import forward_in_documents

Forward = Callable[[Tensor, State], tuple[Tensor, State]]
"""ids int64 [T, B] and state -> logits [T, B, V] and the state after, through which gradients flow."""


class LossAndGrad(Protocol):
    """ids and targets int64 [T, B], the state before them and a factor -> the mean loss, nats per token, and the state
    after. The gradient times the factor is left in each parameter's `grad`, which must be None before.

    Where these are some streams of a batch, `streams` are the number of the first, and the streams in the batch. The
    engine `fast` gives them the dropout masks of the whole batch; others draw from PyTorch's generator."""

    def __call__(
        self,
        ids: Tensor,
        targets: Tensor,
        state: State,
        factor: float,
        streams: tuple[int, int] | None = None,
    ) -> tuple[Tensor, State]: ...


def plain_forward(network: nn.Module, device: torch.device, precision: Precision) -> Forward:
    """The network's own forward pass under autocast."""

    def forward(ids: Tensor, state: State) -> tuple[Tensor, State]:
        with autocast(device, precision):
            logits, state = forward_in_documents(network, ids, state)
        return logits, state

    return forward


def autograd_loss_and_grad(forward: Forward, scaler: torch.amp.GradScaler | None = None) -> LossAndGrad:
    """Cross entropy of a forward pass, and its gradient by autograd; `scaler` is the gradient scaler for float16."""

    def loss_and_grad(
        ids: Tensor,
        targets: Tensor,
        state: State,
        factor: float,
        streams: tuple[int, int] | None = None,
    ) -> tuple[Tensor, State]:
        logits, after = forward(ids, state)
        loss = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        scaled = loss * factor
        (scaled if scaler is None else scaler.scale(scaled)).backward()  # type: ignore[no-untyped-call]
        return loss.detach(), detach(after)

    return loss_and_grad
