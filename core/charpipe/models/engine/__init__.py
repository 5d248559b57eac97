"""The training engines: how loss and gradients of a window are computed.

`plain` is PyTorch's autograd, `fast` the compiled kernels of `charpipe.kernels.train` (on a CPU, for PyTorch's RNN, GRU
and LSTM), `cuda-graphs` a captured update with cuDNN's layers. Importing this package compiles nothing.
"""

from charpipe.models.engine.autograd import Forward, LossAndGrad, autograd_loss_and_grad
from charpipe.models.engine.selection import choose_engine, choose_scorer
from charpipe.models.engine.support import is_uncertain, obstacle

__all__ = [
    "Forward",
    "LossAndGrad",
    "autograd_loss_and_grad",
    "choose_engine",
    "choose_scorer",
    "is_uncertain",
    "obstacle",
]
