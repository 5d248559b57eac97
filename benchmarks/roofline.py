"""The roofline of an update: the products that no program can leave out, and how fast this machine multiplies."""

from __future__ import annotations

from functools import partial

import torch
from plain_loop import CHARACTERS, Shape
from updates import timed

from charpipe.cells import Cell, Feeds
from charpipe.kernels.jit.builder import KernelBuilder
from charpipe.kernels.jit.compiler import compile_kernel
from charpipe.kernels.jit.processor import Processor, this_processor
from charpipe.kernels.jit.values import BFLOAT16, FLOAT32, DType, Int, Vector
from charpipe.kernels.train.threads import run_parallel


def gate_products(cell: type[Cell]) -> tuple[int, int]:
    """How many of a cell's gates have a product with the inputs, and how many one with the previous output."""
    feeds = list(cell.gates.values())
    return sum(one is not Feeds.HIDDEN for one in feeds), sum(one is not Feeds.INPUT for one in feeds)


def unavoidable(cell: type[Cell], shape: Shape) -> float:
    """Floating point operations of the products in an update: recurrent ones in every layer, input ones above the
    first (whose input is a row look-up), the head; forward, and twice that backward."""
    layers, size, streams, window = shape
    inputs, recurrent = gate_products(cell)
    weights = (layers * recurrent + (layers - 1) * inputs) * size * size + size * len(CHARACTERS)
    return 3 * 2 * weights * streams * window


class Peak:
    """The kernel `peak(turns, out)`: nothing but FMAs in registers."""

    ARGUMENTS = 2
    CHAINS = 24
    """Independent sums, so that no FMA waits for another; half as many with 16 registers."""

    def __init__(self, processor: Processor, dtype: DType) -> None:
        self.builder, self.dtype = KernelBuilder(processor, self.ARGUMENTS), dtype
        self.chains = self.CHAINS if processor.registers >= 32 else self.CHAINS // 2

    def llvm_ir(self) -> str:
        """The kernel's LLVM IR."""
        builder, (turns, address) = self.builder, self.builder.arguments
        pointer = builder.pointer(address)
        factor = builder.load_word_broadcast(pointer)

        def turn(_: Int, *sums: Vector) -> list[Vector]:
            return [builder.multiply_add(self.dtype, total, factor, factor) for total in sums]

        start = [builder.load(pointer) for _ in range(self.chains)]
        found = builder.loop(turns, turn, start)
        for one in found[1:]:
            found[0] = found[0] + one
        builder.store(pointer, found[0])
        return builder.finish()


def peak(dtype: torch.dtype) -> float:
    """Operations a second that all cores together do where nothing is read or written: what no program exceeds."""
    here = this_processor()
    if here is None or (dtype == torch.bfloat16 and not here.bfloat16):
        return 0.0
    word = BFLOAT16 if dtype == torch.bfloat16 else FLOAT32
    kernel, threads, turns = compile_kernel(here, Peak, word), torch.get_num_threads(), 2_000_000
    rooms = [torch.zeros(64) for _ in range(threads)]
    operations = 2 * word.per_word * here.width * Peak(here, word).chains * turns * threads
    work = [partial(kernel, turns, room.data_ptr()) for room in rooms]
    return operations / min(timed(lambda: run_parallel(work), torch.device("cpu"), 1) for _ in range(5))


def ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second: of a large product, or on a CPU of products in registers, whichever is more."""
    side = 8192 if device.type == "cuda" else 2048
    a = torch.randn(side, side, device=device).to(dtype)
    large = 2 * side**3 / min(timed(lambda: torch.mm(a, a), device, 3) for _ in range(4))
    return max(large, peak(dtype)) if device.type == "cpu" else large
