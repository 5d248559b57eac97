"""Selects the engine for training, and for scoring."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from charpipe.errors import UsageError
from charpipe.models.contract import State
from charpipe.models.engine.autograd import LossAndGrad, autograd_loss_and_grad, plain_forward
from charpipe.models.engine.cuda_graphs import forward_on_cuda
from charpipe.models.engine.support import is_faster, obstacle
from charpipe.models.precision import Precision
from charpipe.models.shell import LanguageModel
from charpipe.models.standard import modules_of


def choose_engine(
    network: nn.Module,
    device: torch.device,
    precision: Precision,
    asked: str = "auto",
    *,
    batch_size: int = 1,
    threads: int = 1,
    scaler: torch.amp.GradScaler | None = None,
) -> tuple[str, LossAndGrad]:
    """The engine's name, "fast", "plain" or "cuda-graphs", and its function, for this batch size and number of threads.

    `scaler` scales the loss for autograd. Raises UsageError if the requested engine cannot be used.
    """
    if asked == "cuda-graphs":
        return asked, autograd_loss_and_grad(forward_on_cuda(network, device, precision, batch_size), scaler)
    reason = None if asked == "plain" else obstacle(network, device, precision)
    if asked == "fast" and reason is not None:
        raise UsageError(
            f"the fast engine cannot train this: {reason}; leave --engine out, or use --engine plain"
        )
    if asked == "plain" or reason is not None or (asked == "auto" and not is_faster(precision)):
        return "plain", autograd_loss_and_grad(plain_forward(network, device, precision), scaler)
    from charpipe.kernels.train.loss_and_grad import CompiledLossAndGrad  # imports llvmlite

    assert isinstance(network, LanguageModel)
    return "fast", CompiledLossAndGrad(modules_of(network), getattr(torch, precision), threads)


def choose_scorer(
    network: nn.Module, device: torch.device, precision: Precision
) -> Callable[[Tensor, State], tuple[Tensor, State]] | None:
    """`Predictor.score` by the engine "fast", or None if that cannot be used or may be slower."""
    if obstacle(network, device, precision) is not None or not is_faster(precision):
        return None
    from charpipe.kernels.train.scoring import CompiledScorer  # imports llvmlite

    assert isinstance(network, LanguageModel)
    return CompiledScorer(modules_of(network), getattr(torch, precision))


def choose_recorder(
    network: nn.Module, device: torch.device, precision: Precision
) -> Callable[[Tensor, State], tuple[State, State]] | None:
    """`NetworkPredictor.recorder` by the engine "fast", or None if that cannot be used."""
    if obstacle(network, device, precision) is not None:
        return None
    from charpipe.kernels.train.recording import CompiledRecorder  # imports llvmlite

    assert isinstance(network, LanguageModel)
    return CompiledRecorder(modules_of(network), getattr(torch, precision))
