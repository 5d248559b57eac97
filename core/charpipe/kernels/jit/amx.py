"""AMX: eight tile registers of up to 16 rows of 64 bytes, and an instruction that multiplies two of them.

`sums += left @ right`, of sums float32 [rows][16 columns], left [rows][16 words] and right [16 words][16 columns]. A
word is a pair of bfloat16, so that 32 products of each row and column are added at once.

`AmxInstructions` emits the instructions, `AmxEmulation` plain loops that do the same: kernels are tested with it where
no processor has AMX.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from llvmlite import ir

from charpipe.kernels.jit.builder import POINTER, KernelBuilder
from charpipe.kernels.jit.values import BFLOAT16, BYTE, WORD, Int, Pointer, Vector, int_value

TILES = 8
TILE_ROWS = 16
"""The most rows of a tile."""
TILE_WORDS = 16
"""Words in a row of a tile."""
ROW_BYTES = TILE_WORDS * WORD
TILE_BYTES = TILE_ROWS * ROW_BYTES


class Amx(Protocol):
    """The tile registers of a kernel. Tiles are named by their numbers, 0 to 7; strides are bytes from row to row."""

    def zero(self, tile: int) -> None:
        """Set a tile to zeros."""

    def load(self, tile: int, pointer: Pointer, stride: int) -> None:
        """Load a tile's rows."""

    def store(self, tile: int, pointer: Pointer, stride: int) -> None:
        """Store a tile's rows."""

    def multiply_add(self, sums: int, left: int, right: int) -> None:
        """sums += left @ right. Raises ValueError for tiles that cannot be multiplied, see `check_operands`."""

    def release(self) -> None:
        """Give the tiles back at the kernel's end, so that a thread that is switched away need not save them."""


def configuration(rows: Sequence[int]) -> bytes:
    """The 64 bytes that ldtilecfg loads: the numbers of rows of the eight tiles, whose rows have 64 bytes."""
    found = bytearray(64)
    found[0] = 1  # the palette
    for tile, count in enumerate(rows):
        found[16 + 2 * tile] = ROW_BYTES
        found[48 + tile] = count
    return bytes(found)


def amx_of(builder: KernelBuilder, rows: Sequence[int]) -> Amx:
    """The tile registers of the kernel that is being built, configured at its beginning."""
    config = configuration(rows)
    return (
        AmxEmulation(builder, config)
        if builder.processor.amx == "emulated"
        else AmxInstructions(builder, config)
    )


def check_operands(config: bytes, sums: int, left: int, right: int) -> None:
    """Raise ValueError for tiles that tdpbf16ps does not multiply: they end the process by an illegal instruction.

    Source: Intel's Software Developer's Manual, TDPBF16PS and its exceptions.
    """
    rows = config[48 : 48 + TILES]
    if len({sums, left, right}) < 3:
        raise ValueError(f"a product needs three tiles, not {sums}, {left} and {right}")
    if not rows[sums] or rows[sums] != rows[left]:
        raise ValueError(f"the sums have {rows[sums]} rows and the left tile {rows[left]}")
    if rows[right] != TILE_WORDS:
        raise ValueError(
            f"the right tile has {rows[right]} rows, and the left tile's rows {TILE_WORDS} words"
        )


class AmxInstructions:
    """The instructions themselves. The configuration is a thread's, so each kernel loads its own."""

    def __init__(self, builder: KernelBuilder, config: bytes) -> None:
        self.builder, self.config = builder, config
        constant = ir.Constant(ir.ArrayType(BYTE, len(config)), bytearray(config))
        place = ir.GlobalVariable(builder.module, constant.type, "tile_configuration")
        place.initializer, place.global_constant, place.linkage, place.align = constant, True, "internal", 64
        self._emit("ldtilecfg", place)

    def zero(self, tile: int) -> None:
        """tilezero."""
        self._emit("tilezero", tile)

    def load(self, tile: int, pointer: Pointer, stride: int) -> None:
        """tileloadd."""
        self._emit("tileloadd64", tile, pointer.value, int_value(stride))

    def store(self, tile: int, pointer: Pointer, stride: int) -> None:
        """tilestored."""
        self._emit("tilestored64", tile, pointer.value, int_value(stride))

    def multiply_add(self, sums: int, left: int, right: int) -> None:
        """tdpbf16ps."""
        check_operands(self.config, sums, left, right)
        self._emit("tdpbf16ps", sums, left, right)

    def release(self) -> None:
        """tilerelease."""
        self._emit("tilerelease")

    def _emit(self, name: str, *operands: Any) -> None:
        values = [ir.Constant(BYTE, each) if isinstance(each, int) else each for each in operands]
        types = [POINTER if isinstance(each.type, ir.PointerType) else each.type for each in values]
        intrinsic = self.builder.intrinsic(f"llvm.x86.{name}", ir.VoidType(), types)
        self.builder.builder.call(intrinsic, values)


class AmxEmulation:
    """The same numbers by vectors of 16 elements, of tiles in the kernel's stack memory. The order of the sums is
    the processor's; unlike it, this does not replace subnormal numbers by zero."""

    def __init__(self, builder: KernelBuilder, config: bytes) -> None:
        assert builder.width == TILE_WORDS
        self.builder, self.config = builder, config
        self.rows = config[48 : 48 + TILES]
        self.tiles = builder.stack_memory(TILES * TILE_BYTES)

    def zero(self, tile: int) -> None:
        """Each row to zeros."""
        self.builder.loop(
            self.rows[tile], lambda row: self.builder.store(self._row(tile, row), self.builder.zero)
        )

    def load(self, tile: int, pointer: Pointer, stride: int) -> None:
        """Each row from memory."""
        builder = self.builder
        builder.loop(
            self.rows[tile],
            lambda row: builder.store_words(self._row(tile, row), builder.load_words(pointer + row * stride)),
        )

    def store(self, tile: int, pointer: Pointer, stride: int) -> None:
        """Each row to memory."""
        builder = self.builder
        builder.loop(
            self.rows[tile],
            lambda row: builder.store_words(pointer + row * stride, builder.load_words(self._row(tile, row))),
        )

    def multiply_add(self, sums: int, left: int, right: int) -> None:
        """For each row the products of the words' lower and of their upper halves, summed apart, then added."""
        check_operands(self.config, sums, left, right)
        builder = self.builder

        def row(m: Int) -> None:
            def word(k: Int, *totals: Vector) -> list[Vector]:
                value = builder.load_word_broadcast(self._row(left, m) + k * WORD)
                weights = builder.load_words(self._row(right, k))
                pairs = zip(builder.unpack_words(value), builder.unpack_words(weights), strict=True)
                return [
                    builder.fused_multiply_add(a, b, total)
                    for (a, b), total in zip(pairs, totals, strict=True)
                ]

            lower, upper = builder.loop(self.rows[right], word, [builder.zero] * BFLOAT16.per_word)
            place = self._row(sums, m)
            builder.store(place, builder.load(place) + (lower + upper))

        builder.loop(self.rows[sums], row)

    def release(self) -> None:
        """Nothing: stack memory is given back by itself."""

    def _row(self, tile: int, row: Int) -> Pointer:
        return self.tiles + tile * TILE_BYTES + row * ROW_BYTES
