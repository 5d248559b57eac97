"""Reads tensors from untrusted files: everything is checked before anything is allocated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from charpipe.errors import RunError
from charpipe.models.header import read_header

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, copied to CPU memory: in the file they may start at any
    address, and some products round differently there. Raises RunError on anything that safetensors refuses."""
    read_header(path)
    try:
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is damaged: {error}; nothing was loaded") from error


def check_fits(path: Path, expected: Mapping[str, Tensor]) -> None:
    """Raise RunError unless the file holds exactly the `expected` names, shapes and types."""
    header = read_header(path)
    missing, extra = sorted(expected.keys() - header.keys()), sorted(header.keys() - expected.keys())
    if missing or extra:
        words = [f"lacks {missing[0]!r}"] if missing else []
        words += [f"has an unknown {extra[0]!r}"] if extra else []
        raise RunError(f"{path} does not fit the model: it {' and '.join(words)}; nothing was loaded")
    for name, tensor in expected.items():
        entry = header[name]
        shape, dtype = entry.get("shape"), DTYPES.get(entry["dtype"])
        if shape != list(tensor.shape) or dtype != tensor.dtype:
            raise RunError(
                f"{path} does not fit the model: {name} is {entry['dtype']} {shape} "
                f"instead of {tensor.dtype} {list(tensor.shape)}; nothing was loaded"
            )
