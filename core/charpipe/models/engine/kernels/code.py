"""Machine code written as it is thought: numbers, vectors, places in memory and loops over them, in LLVM's terms.

A kernel is a Python function that is run once, on stand-ins for numbers, and leaves behind the instructions for them:
Python's own loops unroll, `Code.loop` repeats. Nothing here knows what a network is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from charpipe.models.processor import Processor

FLOAT, INT, BITS, HALF, BYTE = (
    ir.FloatType(),
    ir.IntType(64),
    ir.IntType(32),
    ir.IntType(16),
    ir.IntType(8),
)
POINTER = ir.PointerType()
FAST = ("contract", "nsz", "arcp")
"""A product and a sum may be one instruction, a quotient a product with an inverse; NaN stays NaN."""
NAME = "kernel"
"""What every kernel is called."""
WORD = 4
"""Bytes of a float32, and of the pair of bfloat16 that is multiplied as one."""
LINE = 64
"""Bytes that memory gives at a time."""
Numbers = tuple["Vector", ...]


class _Bfloat(ir.types._BaseFloatType):  # type: ignore[misc]
    """The type that llvmlite has no name for."""

    null = "0.0"
    intrinsic_name = "bf16"

    def __str__(self) -> str:
        return "bfloat"


_Bfloat._create_instance()


@dataclass(frozen=True)
class Kind:
    """How numbers lie in memory: float32, or bfloat16, of which a product takes `pair` at a time."""

    name: str
    size: int
    pair: int


FLOAT32, BFLOAT16 = Kind("float32", 4, 1), Kind("bfloat16", 2, 2)


class Int:
    """A whole number of 64 bits, known when the kernel runs."""

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.value = code, value

    def __add__(self, other: int | Int) -> Int:
        return Int(self.code, self.code.builder.add(self.value, self.code.integer(other)))

    def __sub__(self, other: int | Int) -> Int:
        return Int(self.code, self.code.builder.sub(self.value, self.code.integer(other)))

    def __mul__(self, other: int | Int) -> Int:
        return Int(self.code, self.code.builder.mul(self.value, self.code.integer(other)))

    def __floordiv__(self, other: int) -> Int:
        return Int(self.code, self.code.builder.udiv(self.value, self.code.integer(other)))

    def least(self, other: int | Int) -> Int:
        """The smaller of both."""
        limit = self.code.integer(other)
        smaller = self.code.builder.icmp_signed("<", self.value, limit)
        return Int(self.code, self.code.builder.select(smaller, self.value, limit))

    __radd__ = __add__
    __rmul__ = __mul__


class Place:
    """An address in memory; sums are in bytes."""

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.value = code, value

    def __add__(self, offset: int | Int) -> Place:
        if isinstance(offset, int) and offset == 0:
            return self
        offset = self.code.integer(offset)
        return Place(self.code, self.code.builder.gep(self.value, [offset], source_etype=BYTE))


class Vector:
    """As many float32 numbers as a register holds; a plain number beside it stands for all of them."""

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.value = code, value

    def _with(self, operation: str, other: float | Vector) -> Vector:
        given = self.code.vector(other)
        return Vector(self.code, getattr(self.code.builder, operation)(self.value, given.value, flags=FAST))

    def __add__(self, other: float | Vector) -> Vector:
        return self._with("fadd", other)

    def __sub__(self, other: float | Vector) -> Vector:
        return self._with("fsub", other)

    def __mul__(self, other: float | Vector) -> Vector:
        return self._with("fmul", other)

    def __truediv__(self, other: float | Vector) -> Vector:
        return self._with("fdiv", other)

    def __rsub__(self, other: float) -> Vector:
        return self.code.vector(other) - self

    def __rtruediv__(self, other: float) -> Vector:
        return self.code.vector(other) / self

    def __neg__(self) -> Vector:
        return self * -1.0

    __radd__ = __add__
    __rmul__ = __mul__

    def greatest(self, other: float | Vector) -> Vector:
        """The larger of each two, NaN where this one is."""
        return self._choose(">", self.code.vector(other))

    def least(self, other: float | Vector) -> Vector:
        """The smaller of each two, NaN where this one is."""
        return self._choose("<", self.code.vector(other))

    def _choose(self, relation: str, other: Vector) -> Vector:
        builder = self.code.builder
        better = builder.fcmp_ordered(relation, other.value, self.value)
        return Vector(self.code, builder.select(better, other.value, self.value))

    def within(self, limit: float) -> Vector:
        """Moved to -limit or limit where it is beyond."""
        return self.greatest(-limit).least(limit)

    def bits(self) -> Any:
        """The same registers as whole numbers of 32 bits."""
        return self.code.builder.bitcast(self.value, self.code.words)

    def power_of_two(self) -> Vector:
        """2**n of small whole numbers n + 1.5 * 2**23, whose lowest bits are n."""
        builder, words = self.code.builder, self.code.words
        shifted = builder.shl(self.bits(), ir.Constant(words, [23] * self.code.width))
        one = ir.Constant(words, [0x3F800000] * self.code.width)
        return Vector(self.code, builder.bitcast(builder.add(shifted, one), self.code.floats))

    def turned(self, places: int) -> Vector:
        """The numbers moved by so many places, those at the front to the end."""
        order = [(i + places) % self.code.width for i in range(self.code.width)]
        return self.code.picked(self, self, order)

    def across(self, combine: Callable[[Vector, Vector], Vector]) -> Vector:
        """All numbers combined, in each place."""
        value, places = self, self.code.width
        while places > 1:
            places //= 2
            value = combine(value, value.turned(places))
        return value

    def first(self) -> Any:
        """The number in the first place."""
        return self.code.builder.extract_element(self.value, ir.Constant(BITS, 0))


class Code:
    """A kernel under construction, and its arguments, each an address or a whole number."""

    def __init__(self, processor: Processor, arguments: int) -> None:
        self.processor, self.width = processor, processor.width
        self.floats = ir.VectorType(FLOAT, self.width)
        self.words = ir.VectorType(BITS, self.width)
        self.module = ir.Module()
        kind = ir.FunctionType(ir.VoidType(), [INT] * arguments)
        self.function = ir.Function(self.module, kind, NAME)
        self.function.attributes.add("nounwind")
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.arguments = [Int(self, value) for value in self.function.args]

    def finish(self) -> str:
        """All of it as LLVM reads it."""
        self.builder.ret_void()
        return str(self.module)

    # --- numbers and places ---

    def integer(self, value: int | Int) -> Any:
        return value.value if isinstance(value, Int) else ir.Constant(INT, value)

    def place(self, address: Int) -> Place:
        """The memory at an address."""
        return Place(self, self.builder.inttoptr(address.value, POINTER))

    def quotient(self, value: Int, by: Int) -> Int:
        """value / by, the whole part."""
        return Int(self, self.builder.udiv(value.value, by.value))

    def vector(self, value: float | Vector) -> Vector:
        """A number in each place of a register."""
        if isinstance(value, Vector):
            return value
        return Vector(self, ir.Constant(self.floats, [float(value)] * self.width))

    @property
    def zero(self) -> Vector:
        """Nothing in each place."""
        return self.vector(0.0)

    def load_int(self, place: Place) -> Int:
        """The whole number of 64 bits there."""
        return Int(self, self.builder.load(place.value, align=8, typ=INT))

    def load(self, place: Place, kind: Kind = FLOAT32) -> Vector:
        """A register full of numbers from there on."""
        if kind is FLOAT32:
            return Vector(self, self.builder.load(place.value, align=4, typ=self.floats))
        halves = self.builder.load(place.value, align=2, typ=ir.VectorType(HALF, self.width))
        words = self.builder.shl(
            self.builder.zext(halves, self.words), ir.Constant(self.words, [16] * self.width)
        )
        return Vector(self, self.builder.bitcast(words, self.floats))

    def store(self, place: Place, value: Vector, kind: Kind = FLOAT32) -> None:
        """Keep a register full of numbers there, rounded to the nearest where they are bfloat16."""
        if kind is FLOAT32:
            self.builder.store(value.value, place.value, align=4)
        else:
            self.builder.store(self._rounded(value), place.value, align=2)

    def _rounded(self, value: Vector) -> Any:
        halves = self.builder.fptrunc(value.value, ir.VectorType(_Bfloat(), self.width))
        return self.builder.bitcast(halves, ir.VectorType(HALF, self.width))

    def turned_over(self, rows: Sequence[Vector]) -> list[Vector]:
        """As many registers as each holds numbers, as columns: number j of row i becomes number i of row j."""
        found, step = list(rows), 1
        while step < self.width:
            low = [j if not j & step else self.width + (j ^ step) for j in range(self.width)]
            high = [j ^ step if not j & step else self.width + j for j in range(self.width)]
            for i in range(self.width):
                if not i & step:
                    pair = found[i], found[i | step]
                    found[i], found[i | step] = self.picked(*pair, low), self.picked(*pair, high)
            step *= 2
        return found

    def picked(self, one: Vector, other: Vector, places: list[int]) -> Vector:
        """The numbers of both, counted through, in these places."""
        mask = ir.Constant(self.words, places)
        return Vector(self, self.builder.shuffle_vector(one.value, other.value, mask))

    def one_below(self, value: Int, limit: Int) -> Vector:
        """1 in each place where value < limit, otherwise 0."""
        below = self.builder.icmp_signed("<", value.value, limit.value)
        one, zero = ir.Constant(FLOAT, 1.0), ir.Constant(FLOAT, 0.0)
        return Vector(self, self._everywhere(self.builder.select(below, one, zero)))

    def load_one(self, place: Place) -> Vector:
        """The float32 there, in each place of a register."""
        return Vector(self, self._everywhere(self.builder.load(place.value, align=4, typ=FLOAT)))

    def store_one(self, place: Place, value: Any) -> None:
        """Keep a single float32."""
        self.builder.store(value, place.value, align=4)

    def _everywhere(self, one: Any) -> Any:
        kind = one.type
        undefined = ir.Constant(ir.VectorType(kind, self.width), ir.Undefined)
        first = self.builder.insert_element(undefined, one, ir.Constant(BITS, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(self.words, [0] * self.width))

    def where_equal(self, start: Int, number: Int) -> Vector:
        """1 in the place of `number` among start, start + 1, ..., and 0 elsewhere."""
        places = ir.Constant(self.words, list(range(self.width)))
        wanted = self._everywhere(self.builder.trunc((number - start).value, BITS))
        return self._chosen(self.builder.icmp_signed("==", places, wanted), 1.0)

    def kept_at_random(self, start: Int, seed: Int, dropped: float) -> Vector:
        """For the numbers start, start + 1, ...: 0 for a share of them, 1 / (1 - share) for the others, a function of
        seed + number: two rounds of multiply and shift (Ellis 2018, "lowbias32")."""
        builder, words = self.builder, self.words

        def every(value: int) -> Any:
            return ir.Constant(words, [value] * self.width)

        value = self._everywhere(builder.trunc((start + seed).value, BITS))
        value = builder.add(value, ir.Constant(words, list(range(self.width))))
        value = builder.mul(builder.xor(value, builder.lshr(value, every(16))), every(0x7FEB352D))
        value = builder.mul(builder.xor(value, builder.lshr(value, every(15))), every(0x846CA68B))
        value = builder.xor(value, builder.lshr(value, every(16)))
        kept = builder.icmp_unsigned(">=", value, every(min(round(dropped * 2**32), 2**32 - 1)))
        return self._chosen(kept, 1.0 / (1.0 - dropped))

    def _chosen(self, where: Any, number: float) -> Vector:
        return Vector(self, self.builder.select(where, self.vector(number).value, self.zero.value))

    # --- products ---

    def prefetch(self, place: Place, size: int, *, written: bool = False) -> None:
        """Ask for so many bytes, which are needed soon."""
        kinds = [POINTER, BITS, BITS, BITS]
        ask = self.intrinsic("llvm.prefetch.p0", ir.VoidType(), kinds)
        how = [ir.Constant(BITS, int(written)), ir.Constant(BITS, 3), ir.Constant(BITS, 1)]
        for offset in range(0, size, LINE):
            self.builder.call(ask, [(place + offset).value, *how])

    def load_packed(self, place: Place) -> Any:
        """A register of weights as `multiply_add` takes them: float32, or pairs of bfloat16."""
        return self.builder.load(place.value, align=4, typ=self.words)

    def spread(self, place: Place) -> Any:
        """The 32 bits there, a float32 or a pair of bfloat16, in each place of a register."""
        return self._everywhere(self.builder.load(place.value, align=2, typ=BITS))

    def multiply_add(self, kind: Kind, total: Vector, left: Any, right: Any) -> Vector:
        """total + left * right; of bfloat16 both products of each pair are added."""
        if kind is BFLOAT16:
            multiply = self.intrinsic(
                "llvm.x86.avx512bf16.dpbf16ps.512", self.floats, [self.floats, self.words, self.words]
            )
            return Vector(self, self.builder.call(multiply, [total.value, left, right]))
        as_float = [self.builder.bitcast(each, self.floats) for each in (left, right)]
        fused = self.intrinsic(f"llvm.fma.v{self.width}f32", self.floats, [self.floats] * 3)
        return Vector(self, self.builder.call(fused, [*as_float, total.value]))

    def word(self, parts: Sequence[Vector]) -> Any:
        """A register as `load_packed` has it, of one register of float32, or of two as pairs of bfloat16."""
        if len(parts) == 1:
            return parts[0].bits()
        low, high = (self.builder.zext(self._rounded(each), self.words) for each in parts)
        shifted = self.builder.shl(high, ir.Constant(self.words, [16] * self.width))
        return self.builder.or_(low, shifted)

    def store_packed(self, place: Place, words: Any) -> None:
        """Keep what `load_packed` reads."""
        self.builder.store(words, place.value, align=4)

    def intrinsic(self, name: str, result: Any, arguments: list[Any]) -> Any:
        """One of LLVM's own functions."""
        found = self.module.globals.get(name)
        return found or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    # --- flow ---

    def loop(
        self, count: int | Int, body: Callable[..., Sequence[Vector] | None], carried: Sequence[Vector] = ()
    ) -> list[Vector]:
        """`body(i, *carried)` for i from 0 to count, which is not negative; it returns what is carried on."""
        if count == 0:
            return list(carried)
        builder = self.builder
        before = builder.block
        inside = builder.append_basic_block("loop")
        after = builder.append_basic_block("done")
        limit = self.integer(count)
        if isinstance(count, int):
            builder.branch(inside)
        else:
            builder.cbranch(builder.icmp_signed(">", limit, ir.Constant(INT, 0)), inside, after)
        builder.position_at_end(inside)
        place = builder.phi(INT)
        values = [builder.phi(self.floats) for _ in carried]
        found = body(Int(self, place), *(Vector(self, value) for value in values)) or ()
        following = builder.add(place, ir.Constant(INT, 1))
        place.add_incoming(ir.Constant(INT, 0), before)
        place.add_incoming(following, builder.block)
        for value, first, last in zip(values, carried, found, strict=True):
            value.add_incoming(first.value, before)
            value.add_incoming(last.value, builder.block)
        end = builder.block
        builder.cbranch(builder.icmp_signed("<", following, limit), inside, after)
        builder.position_at_end(after)
        if isinstance(count, int):
            return list(found)
        results = []
        for first, last in zip(carried, found, strict=True):
            merged = builder.phi(self.floats)
            merged.add_incoming(first.value, before)
            merged.add_incoming(last.value, end)
            results.append(Vector(self, merged))
        return results
