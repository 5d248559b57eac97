"""Processors for tests of AMX: one that emulates it on any machine with AVX2, and this one where it has AMX."""

from __future__ import annotations

from dataclasses import replace

from llvmlite import binding

from charpipe.kernels.jit.amx_switch import obstacle_to_amx
from charpipe.kernels.jit.processor import Processor, this_processor, without_avx512

HAS = binding.get_host_cpu_features()
EMULATED = Processor(binding.get_host_cpu_name(), without_avx512(HAS), 16, 16, bfloat16=False, amx="emulated")
SAPPHIRE_RAPIDS = Processor("sapphirerapids", "", 16, 32, bfloat16=True, matrices=True, amx="on")
"""To compile for, never to run."""


def processors_with_amx() -> list[Processor]:
    """Those whose kernels can run here."""
    here = this_processor()
    real = [] if here is None or here.width < 16 or obstacle_to_amx(HAS) else [replace(here, amx="on")]
    return [EMULATED, *real]
