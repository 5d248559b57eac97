"""Processor detection: the vector registers and instructions that kernels are compiled for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from charpipe.kernels.jit.amx_switch import obstacle_to_amx, switched_off


@dataclass(frozen=True)
class Processor:
    """`width` float32 elements fit into a vector register, of which there are `registers`. `bfloat16`: it has
    AVX512-BF16's dot product of pairs. `matrices`: it has AMX, and `amx`: kernels use it, or loops that emulate it.
    `name` and `features` are LLVM's."""

    name: str
    features: str
    width: int
    registers: int
    bfloat16: bool
    matrices: bool = False
    amx: Literal["off", "on", "emulated"] = "off"

    @property
    def multiplies_bfloat16(self) -> bool:
        """Whether kernels can multiply bfloat16 here."""
        return self.bfloat16 or self.amx != "off"


@cache
def this_processor() -> Processor | None:
    """This machine's processor, or None without llvmlite or without AVX2, which the kernels need.

    `ONEDNN_MAX_CPU_ISA=AVX2`, which limits PyTorch's oneDNN, limits these kernels too, so that a benchmark on a server
    shows what a laptop gets.
    """
    try:
        from llvmlite import binding
    except Exception:  # not installed, or not for this Python
        return None
    name, has = binding.get_host_cpu_name(), binding.get_host_cpu_features()
    if all(has.get(one) for one in ("avx512f", "avx512bw", "avx512vl")) and not limited_to_avx2():
        bfloat16, matrices = (bool(has.get(one)) for one in ("avx512bf16", "amx-bf16"))
        use_amx = not switched_off() and obstacle_to_amx(has) is None
        return Processor(name, has.flatten(), 16, 32, bfloat16, matrices, "on" if use_amx else "off")
    if has.get("avx2") and has.get("fma"):
        return Processor(name, without_avx512(has), 8, 16, False)
    return None


def amx_refusal() -> str | None:
    """Why this machine's kernels do not use AMX; None if they do, or if the user switched it off."""
    here = this_processor()
    if switched_off() or here is None or here.amx != "off":
        return None
    if limited_to_avx2():
        return "ONEDNN_MAX_CPU_ISA limits the kernels to AVX2"
    from llvmlite import binding

    return obstacle_to_amx(binding.get_host_cpu_features()) or "AMX is used only beside AVX-512"


def without_avx512(has: Mapping[str, bool]) -> str:
    """LLVM's feature string with AVX-512 and AMX switched off: the processor's name alone would switch them on."""
    wider = ("avx512", "avx10", "amx", "evex512")
    return ",".join(f"{'+' if on and not name.startswith(wider) else '-'}{name}" for name, on in has.items())


def limited_to_avx2() -> bool:
    """Whether the environment limits oneDNN to AVX2."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper().startswith("AVX2")
