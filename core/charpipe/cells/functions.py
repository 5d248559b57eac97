"""The functions of a step, for expressions and for PyTorch's tensors alike."""

from __future__ import annotations

from typing import Any

from charpipe.cells.expression import TORCH_FUNCTIONS, Expression


def _apply(name: str, *arguments: Any) -> Any:
    if any(isinstance(one, Expression) for one in arguments):
        return TORCH_FUNCTIONS[name](*arguments)
    import torch  # only where tensors are, or plain numbers in a step

    like = next((one for one in arguments if isinstance(one, torch.Tensor) and one.is_floating_point()), None)
    as_tensors = [one if isinstance(one, torch.Tensor) else _tensor(one, like) for one in arguments]
    return getattr(torch, name)(*as_tensors)


def _tensor(number: float, like: Any) -> Any:
    import torch

    # filled where it is used, not copied there from the host: a copy would keep a CUDA graph from being captured
    return torch.tensor(float(number)) if like is None else like.new_full((), float(number))


def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x)."""
    return _apply("sigmoid", x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return _apply("tanh", x)


def relu(x: Any) -> Any:
    """max(x, 0)."""
    return _apply("relu", x)


def exp(x: Any) -> Any:
    """e**x."""
    return _apply("exp", x)


def log(x: Any) -> Any:
    """The natural logarithm."""
    return _apply("log", x)


def maximum(x: Any, y: Any) -> Any:
    """The larger of the two; either may be a number."""
    return _apply("maximum", x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller of the two; either may be a number."""
    return _apply("minimum", x, y)


def where(condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where the condition holds, such as `x > 0`, else `no`; both may be numbers."""
    return _apply("where", condition, yes, no)
