"""Selects device and precision: those requested, or the best available."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, Literal

import torch

from charpipe.errors import UsageError
from charpipe.kernels.jit.processor import limited_to_avx2

Precision = Literal["float32", "bfloat16", "float16"]


def choose_device(asked: str = "auto") -> torch.device:
    """`auto` prefers CUDA, then MPS, then the CPU. Raises UsageError for a device that is not available."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if asked == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise UsageError(f"{asked!r} is not a device; use auto, cpu, cuda, cuda:N or mps") from error
    count = {"cpu": 1, "cuda": torch.cuda.device_count() if cuda else 0, "mps": int(mps)}.get(device.type, 0)
    if (device.index or 0) >= count:
        raise UsageError(f"there is no device {asked!r} here; leave --device out, or use cpu")
    return device


def choose_precision(asked: str, device: torch.device) -> Precision:
    """`auto` selects bfloat16 if the device multiplies it natively, else float32. Raises UsageError for
    float16 on a CPU, whose narrow range needs loss scaling that is available only on CUDA here."""
    if asked == "auto":
        return "bfloat16" if _has_bfloat16(device) else "float32"
    if asked == "float16" and device.type != "cuda":
        raise UsageError("float16 works on CUDA only; use bfloat16 or float32")
    if asked == "int8":
        raise UsageError("int8 works on a CPU only; use bfloat16, float16 or float32")
    if asked not in ("float32", "bfloat16", "float16"):
        raise UsageError(f"{asked!r} is not a precision; use auto, float32, bfloat16 or float16")
    return asked  # type: ignore[return-value]


def _has_bfloat16(device: torch.device) -> bool:
    """Without these instructions bfloat16 is emulated, several times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or limited_to_avx2():
        return False
    describe = getattr(torch.cpu, "get_capabilities", dict)  # some allowed torch versions lack it
    capabilities: dict[str, Any] = describe()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Autocast to a lower precision around float32 weights and state, or a null context."""
    if precision == "float32":
        return nullcontext()
    lower = torch.autocast(device.type, dtype=getattr(torch, precision))
    return _without_onednn(lower) if device.type == "cpu" and not _onednn_has_bfloat16() else lower


@cache
def _onednn_has_bfloat16() -> bool:
    """Without AVX-512, oneDNN has no LSTM in bfloat16 and raises; PyTorch's own kernels support it everywhere."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def _without_onednn(inner: AbstractContextManager[Any]) -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of TF32 on GPUs, which the flags set as well
        off = torch.backends.mkldnn.flags(enabled=False)
        off.__enter__()
    try:
        with inner:
            yield
    finally:
        off.__exit__(None, None, None)
