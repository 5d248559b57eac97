"""A builder of kernels in LLVM IR: loads and stores, loops, and the instructions that products are made of.

A kernel is a Python function that runs once, on symbolic values, and leaves behind LLVM instructions: Python's own
loops are unrolled, `KernelBuilder.loop` emits a loop. Nothing here knows what a network is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from charpipe.kernels.jit.processor import Processor
from charpipe.kernels.jit.values import (
    BFLOAT16,
    BITS,
    BYTE,
    FLOAT,
    FLOAT32,
    HALF,
    INT,
    DType,
    Int,
    Pointer,
    Vector,
    int_value,
    words_of,
)

POINTER = ir.PointerType()
NAME = "kernel"
"""The name of every kernel's function."""
CACHE_LINE = 64
"""Bytes of a cache line: what one prefetch loads."""


class _BFloat(ir.types._BaseFloatType):  # type: ignore[misc]
    """LLVM's bfloat, which llvmlite has no type for."""

    null = "0.0"
    intrinsic_name = "bf16"

    def __str__(self) -> str:
        return "bfloat"


_BFloat._create_instance()


class KernelBuilder:
    """A kernel under construction. Its `arguments` are 64-bit integers: counts, and addresses for `pointer`."""

    def __init__(self, processor: Processor, arguments: int) -> None:
        self.processor, self.width = processor, processor.width
        self.floats = ir.VectorType(FLOAT, self.width)
        self.words = words_of(self.width)
        self.module = ir.Module()
        signature = ir.FunctionType(ir.VoidType(), [INT] * arguments)
        self.function = ir.Function(self.module, signature, NAME)
        self.function.attributes.add("nounwind")
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.arguments = [Int(self.builder, value) for value in self.function.args]

    def finish(self) -> str:
        """The kernel as LLVM IR."""
        self.builder.ret_void()
        return str(self.module)

    # --- constants and pointers ---

    def pointer(self, address: Int) -> Pointer:
        """The pointer of an address."""
        return Pointer(self.builder, self.builder.inttoptr(address.value, POINTER))

    def constant(self, number: float) -> Vector:
        """A vector with that number in each element."""
        return Vector(self.builder, ir.Constant(self.floats, [float(number)] * self.width))

    @property
    def zero(self) -> Vector:
        """A vector of zeros."""
        return self.constant(0.0)

    def stack_memory(self, size: int) -> Pointer:
        """So many bytes of memory of the kernel's own, aligned to a cache line. Before the first loop only: within one
        it would grow at each turn."""
        found = self.builder.alloca(ir.ArrayType(BYTE, size))
        found.align, found.type = (
            CACHE_LINE,
            POINTER,
        )  # llvmlite gives it a typed pointer, which LLVM no longer has
        return Pointer(self.builder, found)

    # --- loads and stores ---

    def load_int(self, pointer: Pointer) -> Int:
        """An int64."""
        return Int(self.builder, self.builder.load(pointer.value, align=8, typ=INT))

    def load(self, pointer: Pointer, dtype: DType = FLOAT32) -> Vector:
        """A vector of consecutive numbers, converted to float32."""
        if dtype is FLOAT32:
            return Vector(self.builder, self.builder.load(pointer.value, align=4, typ=self.floats))
        halves = self.builder.load(pointer.value, align=2, typ=ir.VectorType(HALF, self.width))
        # a bfloat16 is the upper half of a float32
        words = self.builder.shl(
            self.builder.zext(halves, self.words), ir.Constant(self.words, [16] * self.width)
        )
        return Vector(self.builder, self.builder.bitcast(words, self.floats))

    def load_broadcast(self, pointer: Pointer) -> Vector:
        """One float32, in each element."""
        return Vector(self.builder, self._broadcast(self.builder.load(pointer.value, align=4, typ=FLOAT)))

    def store(self, pointer: Pointer, value: Vector, dtype: DType = FLOAT32) -> None:
        """Store a vector, rounded to the nearest bfloat16 where that is the dtype."""
        if dtype is FLOAT32:
            self.builder.store(value.value, pointer.value, align=4)
        else:
            self.builder.store(self._to_bfloat16(value), pointer.value, align=2)

    def store_scalar(self, pointer: Pointer, value: Any) -> None:
        """Store one float32."""
        self.builder.store(value, pointer.value, align=4)

    def prefetch(self, pointer: Pointer, size: int, *, write: bool = False) -> None:
        """Prefetch so many bytes into the first cache."""
        signature = [POINTER, BITS, BITS, BITS]
        prefetch = self.intrinsic("llvm.prefetch.p0", ir.VoidType(), signature)
        # for reading or writing; locality 3, the closest cache; 1 for data
        how = [ir.Constant(BITS, int(write)), ir.Constant(BITS, 3), ir.Constant(BITS, 1)]
        for offset in range(0, size, CACHE_LINE):
            self.builder.call(prefetch, [(pointer + offset).value, *how])

    def _to_bfloat16(self, value: Vector) -> Any:
        if not self.processor.bfloat16:
            return self._round_to_bfloat16(value)
        halves = self.builder.fptrunc(value.value, ir.VectorType(_BFloat(), self.width))
        return self.builder.bitcast(halves, ir.VectorType(HALF, self.width))

    def _round_to_bfloat16(self, value: Vector) -> Any:
        """The nearest bfloat16, the even one of two, by integers: LLVM would call a function that is not there."""
        builder, bits = self.builder, value.bits()

        def every(number: int) -> Any:
            return ir.Constant(self.words, [number] * self.width)

        upper = builder.lshr(bits, every(16))
        odd = builder.and_(upper, every(1))
        rounded = builder.lshr(builder.add(bits, builder.add(odd, every(0x7FFF))), every(16))
        quiet = builder.or_(upper, every(0x40))  # rounding could turn a NaN into an infinity
        is_nan = builder.fcmp_unordered("uno", value.value, value.value)
        return builder.trunc(builder.select(is_nan, quiet, rounded), ir.VectorType(HALF, self.width))

    def _broadcast(self, scalar: Any) -> Any:
        undefined = ir.Constant(ir.VectorType(scalar.type, self.width), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(BITS, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(self.words, [0] * self.width))

    # --- masks ---

    def one_if_less(self, value: Int, limit: int | Int) -> Vector:
        """1 in each element where value < limit, else 0."""
        less = self.builder.icmp_signed("<", value.value, int_value(limit))
        one, zero = ir.Constant(FLOAT, 1.0), ir.Constant(FLOAT, 0.0)
        return Vector(self.builder, self._broadcast(self.builder.select(less, one, zero)))

    def one_hot(self, start: Int, index: Int) -> Vector:
        """1 in element index - start, 0 in the others."""
        elements = ir.Constant(self.words, list(range(self.width)))
        wanted = self._broadcast(self.builder.trunc((index - start).value, BITS))
        return self._where(self.builder.icmp_signed("==", elements, wanted), 1.0)

    def dropout_mask(self, start: Int, seed: Int, p: float) -> Vector:
        """The dropout mask of numbers start, start + 1, ...: 0 with probability p, else 1 / (1 - p).

        A hash of seed + number decides: two rounds of multiply and xor-shift (Ellis 2018, "lowbias32"). The backward
        pass computes the same mask again, so that none is stored.
        """
        builder, words = self.builder, self.words

        def every(value: int) -> Any:
            return ir.Constant(words, [value] * self.width)

        value = self._broadcast(builder.trunc((start + seed).value, BITS))
        value = builder.add(value, ir.Constant(words, list(range(self.width))))
        value = builder.mul(builder.xor(value, builder.lshr(value, every(16))), every(0x7FEB352D))
        value = builder.mul(builder.xor(value, builder.lshr(value, every(15))), every(0x846CA68B))
        value = builder.xor(value, builder.lshr(value, every(16)))
        # a p so near 1 that it rounds to 2**32 would wrap to 0 and keep everything
        kept = builder.icmp_unsigned(">=", value, every(min(round(p * 2**32), 2**32 - 1)))
        return self._where(kept, 1.0 / (1.0 - p))

    def _where(self, condition: Any, number: float) -> Vector:
        chosen = self.builder.select(condition, self.constant(number).value, self.zero.value)
        return Vector(self.builder, chosen)

    # --- products of words ---

    def load_words(self, pointer: Pointer) -> Any:
        """A vector of words, as `multiply_add` takes them."""
        return self.builder.load(pointer.value, align=4, typ=self.words)

    def load_word_broadcast(self, pointer: Pointer) -> Any:
        """One word, in each element."""
        return self._broadcast(self.builder.load(pointer.value, align=2, typ=BITS))

    def store_words(self, pointer: Pointer, words: Any) -> None:
        """Store a vector of words."""
        self.builder.store(words, pointer.value, align=4)

    def pack_words(self, parts: Sequence[Vector]) -> Any:
        """A vector of words: of one vector as float32, or of two as pairs of bfloat16, the first in the lower half."""
        if len(parts) == 1:
            return parts[0].bits()
        low, high = (self.builder.zext(self._to_bfloat16(each), self.words) for each in parts)
        shifted = self.builder.shl(high, ir.Constant(self.words, [16] * self.width))
        return self.builder.or_(low, shifted)

    def unpack_words(self, words: Any) -> tuple[Vector, Vector]:
        """The first and the second bfloat16 of each pair, as float32."""
        upper = self.builder.and_(words, ir.Constant(self.words, [0xFFFF0000] * self.width))
        lower = self.builder.shl(words, ir.Constant(self.words, [16] * self.width))
        first, second = (self.builder.bitcast(each, self.floats) for each in (lower, upper))
        return Vector(self.builder, first), Vector(self.builder, second)

    def multiply_add(self, dtype: DType, accumulator: Vector, left: Any, right: Any) -> Vector:
        """accumulator + left * right, element by element; of a pair of bfloat16 both products are added."""
        if dtype is BFLOAT16 and not self.processor.bfloat16:  # emulated, for tests
            pairs = zip(self.unpack_words(left), self.unpack_words(right), strict=True)
            for one, other in pairs:
                accumulator = self.fused_multiply_add(one, other, accumulator)
            return accumulator
        if dtype is BFLOAT16:
            dot = self.intrinsic(
                "llvm.x86.avx512bf16.dpbf16ps.512", self.floats, [self.floats, self.words, self.words]
            )
            return Vector(self.builder, self.builder.call(dot, [accumulator.value, left, right]))
        first, second = (
            Vector(self.builder, self.builder.bitcast(each, self.floats)) for each in (left, right)
        )
        return self.fused_multiply_add(first, second, accumulator)

    def fused_multiply_add(self, left: Vector, right: Vector, addend: Vector) -> Vector:
        """left * right + addend, rounded once."""
        fma = self.intrinsic(f"llvm.fma.v{self.width}f32", self.floats, [self.floats] * 3)
        return Vector(self.builder, self.builder.call(fma, [left.value, right.value, addend.value]))

    def intrinsic(self, name: str, result: Any, arguments: list[Any]) -> Any:
        """The declaration of one of LLVM's intrinsics."""
        found = self.module.globals.get(name)
        return found or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    # --- control flow ---

    def loop(
        self, count: int | Int, body: Callable[..., Sequence[Vector] | None], carry: Sequence[Vector] = ()
    ) -> list[Vector]:
        """A loop, like `jax.lax.fori_loop`: `body(i, *carry)` for i in 0 .. count - 1 returns the next carry.

        Returns the last carry. `count` must not be negative.
        """
        if count == 0:
            return list(carry)
        builder = self.builder
        before = builder.block
        inside = builder.append_basic_block("loop")
        after = builder.append_basic_block("done")
        limit = int_value(count)
        if isinstance(count, int):
            builder.branch(inside)
        else:
            builder.cbranch(builder.icmp_signed(">", limit, ir.Constant(INT, 0)), inside, after)
        builder.position_at_end(inside)
        index = builder.phi(INT)
        values = [builder.phi(self.floats) for _ in carry]
        found = body(Int(builder, index), *(Vector(builder, value) for value in values)) or ()
        following = builder.add(index, ir.Constant(INT, 1))
        index.add_incoming(ir.Constant(INT, 0), before)
        index.add_incoming(following, builder.block)
        for value, first, last in zip(values, carry, found, strict=True):
            value.add_incoming(first.value, before)
            value.add_incoming(last.value, builder.block)
        end = builder.block  # the body may have loops of its own, and end in another block than it began in
        builder.cbranch(builder.icmp_signed("<", following, limit), inside, after)
        builder.position_at_end(after)
        if isinstance(count, int):
            return list(found)
        results = []  # of a loop that may be skipped: what came in, or what its last turn left
        for first, last in zip(carry, found, strict=True):
            merged = builder.phi(self.floats)
            merged.add_incoming(first.value, before)
            merged.add_incoming(last.value, end)
            results.append(Vector(builder, merged))
        return results
