"""Products by AMX: what numpy's tile product makes of the packed weights, and the kernels' own sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charpipe.kernels.jit.processor import this_processor

if this_processor() is None:
    pytest.skip("kernels need AVX2 or AVX-512", allow_module_level=True)

from amx_processors import EMULATED, SAPPHIRE_RAPIDS, processors_with_amx
from charpipe.kernels.jit.amx import ROW_BYTES
from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.compiler import compile_kernel
from charpipe.kernels.jit.values import BFLOAT16, FLOAT32
from charpipe.kernels.train.codegen.amx_product import AmxProduct, Term, uses_amx
from charpipe.kernels.train.codegen.packing import PackColumns, PackRows
from charpipe.kernels.train.codegen.weight_gradients import GradientSum


def bits(values):
    return values.bfloat16().view(torch.int16)


def to_float32(words):
    """uint16 bits of bfloat16 -> float32."""
    return (words.astype(np.uint32) << 16).view(np.float32)


def tile_product(rows, packed, first, stride):
    """One instruction in numpy: rows float32 [M, 32] times the tile of 16 rows of 64 bytes, `stride` bytes apart, from
    byte `first` of the packed weights on: bfloat16 pairs (2k, 2k + 1) of 16 columns."""
    tile = np.stack([packed[(first + k * stride) // 2 :][:32] for k in range(16)])
    pairs = to_float32(tile).reshape(16, 16, 2)  # k, column, of the pair
    return np.einsum("mkp,kcp->mc", rows.reshape(len(rows), 16, 2), pairs)


@pytest.mark.parametrize(("gates", "registers"), [(4, 1), (1, 4), (3, 1), (6, 1)])
def test_numpy_tile_product_of_packed_rows_equals_the_product(gates, registers):
    """x @ W.T: of a tile, all gates of 16 units are side by side."""
    units, length = 96, 64
    weights = torch.randn(gates, units, length, generator=torch.Generator().manual_seed(1)).bfloat16().float()
    packed = torch.zeros(gates * units * length, dtype=torch.int16)
    pack = compile_kernel(EMULATED, PackRows, BFLOAT16, gates, units, length, registers)
    for part in (0, 1):
        pack(weights.data_ptr(), packed.data_ptr(), part, 2)
    memory, rows = packed.numpy().view(np.uint16), np.random.default_rng(0).integers(-3, 3, (5, length))
    found = np.zeros((gates, 5, units), np.float32)
    for unit in range(0, units // 16, registers):  # the last tile may have fewer
        here = min(registers, units // 16 - unit)
        start, stride = unit * gates * length // 2 * ROW_BYTES, here * gates * ROW_BYTES
        for column in range(here * gates):
            place, gate = divmod(column, gates)
            for step in range(length // 32):
                first = start + step * 16 * stride + column * ROW_BYTES
                columns = slice((unit + place) * 16, (unit + place + 1) * 16)
                some = rows[:, step * 32 :][:, :32]
                found[gate, :, columns] += tile_product(some, memory, first, stride)
    expected = np.einsum("mk,guk->gmu", rows, weights.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4)


def test_numpy_tile_product_of_packed_columns_equals_the_product():
    """x @ W: two runs of tiles, of four registers and of the rest."""
    length, columns = 96, 80
    weights = torch.randn(length, columns, generator=torch.Generator().manual_seed(1)).bfloat16().float()
    packed = torch.zeros(length * columns, dtype=torch.int16)
    compile_kernel(EMULATED, PackColumns, BFLOAT16, length, columns)(weights.data_ptr(), packed.data_ptr())
    memory, rows = packed.numpy().view(np.uint16), np.random.default_rng(0).integers(-3, 3, (5, length))
    found = np.zeros((5, columns), np.float32)
    for first, registers in ((0, 4), (4, 1)):
        start, stride = first * length // 2 * ROW_BYTES, registers * ROW_BYTES
        for register in range(registers):
            for step in range(length // 32):
                at = start + step * 16 * stride + register * ROW_BYTES
                column = (first + register) * 16
                some = rows[:, step * 32 :][:, :32]
                found[:, column : column + 16] += tile_product(some, memory, at, stride)
    np.testing.assert_allclose(found, rows @ weights.numpy(), rtol=1e-5, atol=1e-4)


class TwoProducts:
    """The kernel `sums(rows, weights, bias, out)`: rows [rows, 64] times columns of two packed matrices, `words` of
    each row's pairs; the second leaves the sum's first column out."""

    ARGUMENTS = 4

    def __init__(self, processor, rows, columns, words):
        self.builder, self.columns, self.words = KernelBuilder(processor, self.ARGUMENTS), columns, words
        self.product = AmxProduct(self.builder, rows)

    def llvm_ir(self):
        builder, columns = self.builder, self.columns
        rows, weights, bias, out = map(builder.pointer, builder.arguments)
        first = Term(rows, 128, weights, columns, self.words, tuple(range(columns)))
        other = weights + 32 * columns * ROW_BYTES
        second = Term(rows, 128, other, columns, self.words, (None, *range(1, columns)))
        self.product.sums([first, second], columns, out, columns * ROW_BYTES, start=(bias, 0))
        self.product.release()
        return builder.finish()


@pytest.mark.parametrize("processor", processors_with_amx(), ids=lambda each: each.amx)
@pytest.mark.parametrize("rows", [1, 13, 16, 17, 31, 32])
@pytest.mark.parametrize(("columns", "words"), [(1, 32), (4, 32), (7, 16)])
def test_sums_of_a_block_equal_numpy(processor, rows, columns, words):
    random = np.random.default_rng(rows)
    values = torch.from_numpy(random.integers(-5, 5, (rows, 64))).float()
    weights = torch.from_numpy(random.integers(-5, 5, (2, 64, columns * 16))).float()
    bias, packed = torch.arange(columns * 16.0), torch.zeros(2, 32, columns, 16, 2, dtype=torch.int16)
    for place, mine in enumerate(weights):
        packed[place] = bits(mine).view(32, 2, columns, 16).permute(0, 2, 3, 1)
    out, left = torch.full((rows + 1, columns * 16), 7.0), bits(values).contiguous()
    kernel = compile_kernel(processor, TwoProducts, rows, columns, words)
    kernel(left.data_ptr(), packed.data_ptr(), bias.data_ptr(), out.data_ptr())
    weights[1, :, :16] = 0
    used = 2 * words
    expected = bias + values[:, :used] @ weights[:, :used].sum(0)
    assert torch.equal(out[:-1], expected)
    assert (out[-1] == 7).all()


@pytest.mark.parametrize("processor", processors_with_amx(), ids=lambda each: each.amx)
@pytest.mark.parametrize("rows", [1, 33, 512, 700])
def test_weight_gradient_equals_numpy(processor, rows):
    """Rows beyond the last are not summed, even where memory there is not finite."""
    stride, inputs, weights = 96 + 32, 80, 96
    random = np.random.default_rng(rows)
    grad_pre = torch.from_numpy(random.integers(-3, 3, (rows, stride))).bfloat16()
    values = torch.from_numpy(random.integers(-3, 3, (rows, inputs))).bfloat16()
    gradient, how = torch.ones(weights, inputs), GradientSum.of(processor, BFLOAT16)
    scratch = torch.full((how.rows_at_once * (how.panel + inputs),), torch.nan)
    kernel = compile_kernel(processor, how.kernel, BFLOAT16, stride, inputs, how.rows_at_once)
    kernel(
        rows, weights // how.panel, 0, grad_pre.data_ptr(), values.data_ptr(), gradient.data_ptr(),
        scratch.data_ptr(), scratch.data_ptr() + how.rows_at_once * how.panel * 4,
    )  # fmt: skip
    assert torch.equal(gradient, 1 + grad_pre[:, :weights].float().t() @ values.float())


def test_only_bfloat16_is_multiplied_by_amx():
    assert uses_amx(SAPPHIRE_RAPIDS, BFLOAT16)
    assert not uses_amx(SAPPHIRE_RAPIDS, FLOAT32)
    assert GradientSum.of(SAPPHIRE_RAPIDS, FLOAT32).panel == 48


def test_tiles_of_weights_are_loaded_once_for_both_halves():
    """Of the first product two of each factor for four multiplications, of the second one of weights less."""
    text = TwoProducts(SAPPHIRE_RAPIDS, 32, 2, 32).llvm_ir()
    assert text.count('call void @"llvm.x86.tdpbf16ps"') == 4 + 2
    assert text.count('call void @"llvm.x86.tileloadd64"') == 4 + (2 + 2) + (2 + 1)
