"""AMX's tile registers: their configuration, the emulation against numpy, and the instructions that LLVM makes."""

from __future__ import annotations

import re

import numpy as np
import pytest

from charpipe.kernels.jit.processor import this_processor

if this_processor() is None:
    pytest.skip("kernels need AVX2 or AVX-512", allow_module_level=True)

from amx_processors import EMULATED, SAPPHIRE_RAPIDS, processors_with_amx
from charpipe.kernels.jit.amx import amx_of, configuration
from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.compiler import compile_kernel, optimized, target_machine

ROWS = (5, 16, 16, 5, 16, 16, 16, 16)


class OneProduct:
    """The kernel `product(sums, left, right)`: sums += left @ right, of tiles 0, 3 and 7 in memory."""

    ARGUMENTS = 3

    def __init__(self, processor):
        self.builder = KernelBuilder(processor, self.ARGUMENTS)

    def llvm_ir(self):
        builder = self.builder
        sums, left, right = map(builder.pointer, builder.arguments)
        amx = amx_of(builder, ROWS)
        amx.zero(0)
        amx.load(0, sums, 128)
        amx.load(3, left, 64)
        amx.load(7, right, 192)
        amx.multiply_add(0, 3, 7)
        amx.store(0, sums, 128)
        amx.release()
        return builder.finish()


def bfloat16_bits(values):
    """The upper halves of float32 numbers, which have no lower one."""
    bits = values.astype(np.float32).view(np.uint32)
    assert not (bits & 0xFFFF).any()
    return (bits >> 16).astype(np.uint16)


def test_configuration_has_the_layout_of_ldtilecfg():
    found = configuration(ROWS)
    assert len(found) == 64
    assert found[0] == 1
    assert not any(found[1:16])
    assert np.frombuffer(found[16:32], np.uint16).tolist() == [64] * 8
    assert list(found[48:56]) == list(ROWS)
    assert not any(found[32:48]) and not any(found[56:])


@pytest.mark.parametrize("processor", processors_with_amx(), ids=lambda each: each.amx)
def test_tile_product_equals_numpy(processor):
    """Small integers, so that every order of the sums gives the same number."""
    random = np.random.default_rng(3)
    left, right = random.integers(-9, 9, (5, 32)), random.integers(-9, 9, (32, 16))
    sums, memory = random.integers(-9, 9, (5, 16)), np.full((5, 32), 77, np.float32)
    memory[:, :16] = sums
    tile = bfloat16_bits(left)
    pairs = np.full((16, 96), 0x7FC0, np.uint16)  # NaN beyond the tile's 64 bytes
    pairs[:, :32] = bfloat16_bits(right).reshape(16, 2, 16).transpose(0, 2, 1).reshape(16, 32)
    compile_kernel(processor, OneProduct)(memory.ctypes.data, tile.ctypes.data, pairs.ctypes.data)
    assert np.array_equal(memory[:, :16], sums + left @ right)
    assert (memory[:, 16:] == 77).all()


@pytest.mark.parametrize(
    ("rows", "tiles", "reason"),
    [
        ((5, 16, 16, 5, 16, 16, 16, 7), (0, 3, 7), "the right tile has 7 rows"),
        ((5, 16, 16, 6, 16, 16, 16, 16), (0, 3, 7), "the sums have 5 rows and the left tile 6"),
        ((0, 16, 16, 0, 16, 16, 16, 16), (0, 3, 7), "the sums have 0 rows"),
        ((16,) * 8, (0, 7, 7), "three tiles, not 0, 7 and 7"),
    ],
)
@pytest.mark.parametrize("processor", [EMULATED, SAPPHIRE_RAPIDS], ids=lambda each: each.amx)
def test_tiles_that_the_processor_refuses_are_refused_before_it(processor, rows, tiles, reason):
    """They end the process by an illegal instruction there."""
    amx = amx_of(KernelBuilder(processor, OneProduct.ARGUMENTS), rows)
    with pytest.raises(ValueError, match=reason):
        amx.multiply_add(*tiles)


def test_instructions_are_those_of_amx():
    machine = target_machine(SAPPHIRE_RAPIDS)
    text = machine.emit_assembly(optimized(machine, OneProduct(SAPPHIRE_RAPIDS).llvm_ir()))
    names = re.findall(r"^\s+(ldtilecfg|tile\w+|tdpbf16ps)\b", text, re.MULTILINE)
    assert names == [
        "ldtilecfg", "tilezero", "tileloadd", "tileloadd", "tileloadd", "tdpbf16ps", "tilestored", "tilerelease",
    ]  # fmt: skip


def test_emulation_needs_no_instruction_of_amx():
    text = OneProduct(EMULATED).llvm_ir()
    assert "llvm.x86" not in text
