"""Checks of the processor and the GPU: what they are, and which engines train and sample with them.

The processor is examined by llvmlite. PyTorch, which takes seconds to import, is asked only where a GPU is found.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from charpipe.diagnostics.surroundings import Surroundings
from charpipe.kernels.jit.amx_switch import SWITCH, asked_for, switched_off
from charpipe.kernels.jit.numba_functions import can_compile
from charpipe.kernels.jit.processor import Processor, amx_refusal, limited_to_avx2, this_processor
from charpipe.plugins.contracts import Finding

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def processor(surroundings: Surroundings) -> Iterator[Finding]:
    """The processor's instructions, and the engines that they allow."""
    here = this_processor()
    if here is None:
        message = (
            "this processor has no AVX2, or llvmlite is missing: models train by the engine plain (PyTorch)"
        )
        yield Finding(
            "processor", "warning", message, "type: pip install llvmlite; or train on another machine"
        )
    else:
        yield Finding("processor", "ok", f"{here.name}: {_instructions(here)}")
        precision = "bfloat16" if here.multiplies_bfloat16 and not limited_to_avx2() else "float32"
        yield Finding("processor", "ok", f"networks of cells train by the engine fast in {precision}")
    if asked_for() and (refusal := amx_refusal()) is not None:
        yield Finding("processor", "warning", f"{SWITCH}=1 has no effect: {refusal}", f"type: unset {SWITCH}")
    if can_compile():
        yield Finding(
            "processor", "ok", "long texts are sampled by the engine compiled, short ones by arrays"
        )
    else:
        message = "numba is missing: texts are sampled by the engine arrays, which is slower"
        yield Finding("processor", "warning", message, "type: pip install numba")


def _instructions(here: Processor) -> str:
    names = ["AVX-512" if here.width == 16 else "AVX2"]
    names += ["AVX512-BF16"] if here.bfloat16 else []
    if here.matrices:
        unused = f"{SWITCH}=0 switches it off" if switched_off() else amx_refusal()
        names.append("AMX" if here.amx == "on" else f"AMX (not used: {unused})")
    return ", ".join(names) + (" (ONEDNN_MAX_CPU_ISA limits it)" if limited_to_avx2() else "")


def threads(surroundings: Surroundings) -> Iterator[Finding]:
    """The processors that this process may use, and the variables that limit its threads."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = [f"{name}={value}" for name in THREADS if (value := surroundings.environ.get(name))]
    message = f"{usable} of {os.cpu_count()} processors can be used{', ' if given else ''}{', '.join(given)}"
    low = [one for one in given if one.partition("=")[2].isdigit() and int(one.partition("=")[2]) < usable]
    if low:
        name = low[0].partition("=")[0]
        yield Finding("threads", "warning", message, f"to train with all of them, type: unset {name}")
    else:
        yield Finding("threads", "ok", message)


def gpu(surroundings: Surroundings) -> Iterator[Finding]:
    """Whether there is a GPU, and whether PyTorch can use it."""
    if not (
        Path("/proc/driver/nvidia/version").exists()
        or shutil.which("nvidia-smi")
        or Path("/dev/kfd").exists()
    ):
        yield Finding("gpu", "ok", "no GPU: models train on the processor")
        return
    import torch

    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            name = torch.cuda.get_device_name(number)
            yield Finding(
                "gpu", "ok", f"cuda:{number} is a {name}, and PyTorch {torch.__version__} can use it"
            )
    else:
        message = f"this machine has a GPU's driver, but PyTorch {torch.__version__} cannot use a GPU"
        advice = "install a PyTorch for CUDA, and see that `nvidia-smi` lists the GPU"
        yield Finding("gpu", "warning", message, advice)
