"""Values inside a kernel, known only when it runs: integers, pointers and vectors of float32.

Arithmetic on them emits LLVM instructions. Python numbers beside them become constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

FLOAT, INT, BITS, HALF, BYTE = (
    ir.FloatType(),
    ir.IntType(64),
    ir.IntType(32),
    ir.IntType(16),
    ir.IntType(8),
)
FAST = ("contract", "nsz", "arcp")
"""Fast-math flags: FMA is allowed, and x * (1 / y) for a quotient; nothing is reordered, and NaN stays NaN."""
WORD = 4
"""Bytes of a word: one float32, or the pair of bfloat16 that one instruction multiplies."""


@dataclass(frozen=True)
class DType:
    """How numbers are stored: their `size` in bytes, and how many of them are in a word (`per_word`)."""

    name: str
    size: int
    per_word: int


FLOAT32, BFLOAT16 = DType("float32", 4, 1), DType("bfloat16", 2, 2)


class Int:
    """An integer of 64 bits."""

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: int | Int) -> Int:
        return Int(self.builder, self.builder.add(self.value, int_value(other)))

    def __sub__(self, other: int | Int) -> Int:
        return Int(self.builder, self.builder.sub(self.value, int_value(other)))

    def __mul__(self, other: int | Int) -> Int:
        return Int(self.builder, self.builder.mul(self.value, int_value(other)))

    def __floordiv__(self, other: int | Int) -> Int:
        return Int(self.builder, self.builder.udiv(self.value, int_value(other)))

    def min(self, other: int | Int) -> Int:
        """The smaller of the two."""
        limit = int_value(other)
        smaller = self.builder.icmp_signed("<", self.value, limit)
        return Int(self.builder, self.builder.select(smaller, self.value, limit))

    __radd__ = __add__
    __rmul__ = __mul__


def int_value(value: int | Int) -> Any:
    """LLVM's value for an integer."""
    return value.value if isinstance(value, Int) else ir.Constant(INT, value)


class Pointer:
    """An address in memory; offsets are in bytes."""

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    def __add__(self, offset: int | Int) -> Pointer:
        if isinstance(offset, int) and offset == 0:
            return self
        address = self.builder.gep(self.value, [int_value(offset)], source_etype=BYTE)
        return Pointer(self.builder, address)


class Vector:
    """A vector register of `width` float32 elements. A Python number beside it stands for a vector of that number."""

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    @property
    def width(self) -> int:
        """The number of elements."""
        count: int = self.value.type.count
        return count

    def full_like(self, number: float) -> Vector:
        """A vector of this width with that number in each element."""
        return Vector(self.builder, ir.Constant(self.value.type, [float(number)] * self.width))

    def _operand(self, other: float | Vector) -> Vector:
        return other if isinstance(other, Vector) else self.full_like(other)

    def _arithmetic(self, operation: str, other: float | Vector) -> Vector:
        operand = self._operand(other).value
        return Vector(self.builder, getattr(self.builder, operation)(self.value, operand, flags=FAST))

    def __add__(self, other: float | Vector) -> Vector:
        return self._arithmetic("fadd", other)

    def __sub__(self, other: float | Vector) -> Vector:
        return self._arithmetic("fsub", other)

    def __mul__(self, other: float | Vector) -> Vector:
        return self._arithmetic("fmul", other)

    def __truediv__(self, other: float | Vector) -> Vector:
        return self._arithmetic("fdiv", other)

    def __rsub__(self, other: float) -> Vector:
        return self.full_like(other) - self

    def __rtruediv__(self, other: float) -> Vector:
        return self.full_like(other) / self

    def __neg__(self) -> Vector:
        return self * -1.0

    __radd__ = __add__
    __rmul__ = __mul__

    def max(self, other: float | Vector) -> Vector:
        """The element-wise maximum; NaN where this vector is NaN."""
        return self._select(">", self._operand(other))

    def min(self, other: float | Vector) -> Vector:
        """The element-wise minimum; NaN where this vector is NaN."""
        return self._select("<", self._operand(other))

    def less(self, other: float | Vector) -> Mask:
        """Where this vector is less than the other."""
        return Mask(self.builder, self.builder.fcmp_ordered("<", self.value, self._operand(other).value))

    def less_equal(self, other: float | Vector) -> Mask:
        """Where this vector is at most the other."""
        return Mask(self.builder, self.builder.fcmp_ordered("<=", self.value, self._operand(other).value))

    def _select(self, relation: str, other: Vector) -> Vector:
        better = self.builder.fcmp_ordered(relation, other.value, self.value)
        return Vector(self.builder, self.builder.select(better, other.value, self.value))

    def clip(self, limit: float) -> Vector:
        """Each element clipped to [-limit, limit]."""
        return self.max(-limit).min(limit)

    def bits(self) -> Any:
        """The elements' bits as a vector of 32-bit integers."""
        return self.builder.bitcast(self.value, words_of(self.width))

    def exp2_of_int(self) -> Vector:
        """2**n, given n + 1.5 * 2**23 for a small integer n, whose bits are the lowest bits of that sum."""
        words = words_of(self.width)
        shifted = self.builder.shl(self.bits(), ir.Constant(words, [23] * self.width))  # n into the exponent
        one = ir.Constant(words, [0x3F800000] * self.width)  # the bits of 1.0
        return Vector(self.builder, self.builder.bitcast(self.builder.add(shifted, one), self.value.type))

    def exponent(self) -> tuple[Vector, Vector]:
        """(m, n) with self = m * 2**n and m in [1, 2), of positive normal numbers."""
        words = words_of(self.width)

        def every(value: int) -> Any:
            return ir.Constant(words, [value] * self.width)

        raw = self.builder.lshr(self.bits(), every(23))
        n = self.builder.sitofp(self.builder.sub(raw, every(127)), self.value.type)
        kept = self.builder.or_(self.builder.and_(self.bits(), every(0x007FFFFF)), every(0x3F800000))
        return Vector(self.builder, self.builder.bitcast(kept, self.value.type)), Vector(self.builder, n)

    def shuffle(self, other: Vector, indices: Sequence[int]) -> Vector:
        """The elements at these indices of this vector followed by the other."""
        mask = ir.Constant(words_of(self.width), list(indices))
        return Vector(self.builder, self.builder.shuffle_vector(self.value, other.value, mask))

    def rotate(self, count: int) -> Vector:
        """Element i becomes element i + count, modulo the width."""
        return self.shuffle(self, [(i + count) % self.width for i in range(self.width)])

    def reduce(self, combine: Callable[[Vector, Vector], Vector]) -> Vector:
        """All elements combined, the result in each element. The order is fixed: halves, quarters, and so on."""
        value, count = self, self.width
        while count > 1:
            count //= 2
            value = combine(value, value.rotate(count))
        return value

    def first(self) -> Any:
        """Element 0, as LLVM's float."""
        return self.builder.extract_element(self.value, ir.Constant(BITS, 0))


class Mask:
    """For each element of a vector, whether a comparison holds."""

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder, self.value = builder, value

    def choose(self, yes: Vector, no: Vector) -> Vector:
        """The elements of `yes` where it holds, else those of `no`."""
        return Vector(self.builder, self.builder.select(self.value, yes.value, no.value))


def words_of(width: int) -> ir.VectorType:
    """LLVM's type of a vector of 32-bit integers."""
    return ir.VectorType(BITS, width)


def transpose(rows: Sequence[Vector]) -> list[Vector]:
    """The transposed matrix of `width` vectors of `width` elements each: element j of row i becomes element i of row j.

    log2(width) rounds, each of which swaps the off-diagonal quarters of all blocks of 2 * step rows and columns:

        step 1   a b   ->   a c        a, b, c, d: numbers at first, then blocks of 2 x 2, then of 4 x 4, ...
                 c d        b d
    """
    found, width, step = list(rows), len(rows), 1
    while step < width:
        low = [j if not j & step else width + (j ^ step) for j in range(width)]
        high = [j ^ step if not j & step else width + j for j in range(width)]
        for i in range(width):
            if not i & step:
                upper, lower = found[i], found[i | step]
                found[i], found[i | step] = upper.shuffle(lower, low), upper.shuffle(lower, high)
        step *= 2
    return found
