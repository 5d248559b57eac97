"""Expressions: what a cell's step computes, recorded as a graph of element-wise operations.

Two expressions of the same operation and operands are one object, so that nothing is computed twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn
from weakref import WeakValueDictionary

from charpipe.cells.errors import CellError, UncompilableError, author_line

LEAVES = ("gate", "state", "vector", "after", "gradient", "saved")
"""Operations without operands, told apart by their `name`: inputs of a step, and of its backward step."""
EXPENSIVE = ("sigmoid", "tanh", "exp", "log")
"""Operations that take many instructions."""


class Expression:
    """One number a unit: the `operation` and its `operands`, or a leaf with a `name`, or a constant `number`."""

    __slots__ = ("__weakref__", "name", "number", "operands", "operation")
    _known: ClassVar[WeakValueDictionary[tuple[Any, ...], Expression]] = WeakValueDictionary()

    operation: str
    operands: tuple[Expression, ...]
    name: str
    number: float

    def __new__(
        cls, operation: str, *operands: Expression, name: str = "", number: float = 0.0
    ) -> Expression:
        # by bits: -0.0 is another number than 0.0, and NaN is itself
        key = (operation, tuple(map(id, operands)), name, number.hex())
        found = cls._known.get(key)
        if found is None:
            found = super().__new__(cls)
            found.operation, found.operands, found.name, found.number = operation, operands, name, number
            cls._known[key] = found
        return found

    def __repr__(self) -> str:
        if self.operation == "constant":
            return f"{self.number:g}"
        if self.operation in LEAVES:
            return f"{self.operation}.{self.name}"
        return f"{self.operation}({', '.join(map(repr, self.operands))})"

    # --- arithmetic ---

    def __add__(self, other: Any) -> Expression:
        return add(self, operand(other))

    def __radd__(self, other: Any) -> Expression:
        return add(operand(other), self)

    def __sub__(self, other: Any) -> Expression:
        return subtract(self, operand(other))

    def __rsub__(self, other: Any) -> Expression:
        return subtract(operand(other), self)

    def __mul__(self, other: Any) -> Expression:
        return multiply(self, operand(other))

    def __rmul__(self, other: Any) -> Expression:
        return multiply(operand(other), self)

    def __truediv__(self, other: Any) -> Expression:
        return divide(self, operand(other))

    def __rtruediv__(self, other: Any) -> Expression:
        return divide(operand(other), self)

    def __neg__(self) -> Expression:
        return subtract(constant(0.0), self)

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return Expression("maximum", self, -self)

    def __pow__(self, exponent: Any) -> Expression:
        if not isinstance(exponent, int) or not 1 <= exponent <= 8:
            _unknown(f"the power {exponent!r}; powers are whole numbers from 1 to 8")
        found = self
        for _ in range(exponent - 1):
            found = found * self
        return found

    # --- comparisons, for `where` ---

    def __lt__(self, other: Any) -> Expression:
        return Expression("less", self, operand(other))

    def __gt__(self, other: Any) -> Expression:
        return Expression("less", operand(other), self)

    def __le__(self, other: Any) -> Expression:
        return Expression("less_equal", self, operand(other))

    def __ge__(self, other: Any) -> Expression:
        return Expression("less_equal", operand(other), self)

    def __eq__(self, other: object) -> NoReturn:
        _unknown("==; compare with <, >, <= or >=")

    __hash__ = object.__hash__

    # --- methods that PyTorch's tensors have as well ---

    def sigmoid(self) -> Expression:
        """1 / (1 + e**-x)."""
        return Expression("sigmoid", self)

    def tanh(self) -> Expression:
        """The hyperbolic tangent."""
        return Expression("tanh", self)

    def relu(self) -> Expression:
        """max(x, 0)."""
        return Expression("relu", self)

    def exp(self) -> Expression:
        """e**x."""
        return Expression("exp", self)

    def log(self) -> Expression:
        """The natural logarithm."""
        return Expression("log", self)

    def square(self) -> Expression:
        """x * x."""
        return self * self

    def abs(self) -> Expression:
        """The absolute value."""
        return abs(self)

    # --- what a step cannot do ---

    def __bool__(self) -> NoReturn:
        raise CellError(
            f"{author_line()}: `step` decides by a value, which differs from unit to unit; use where(condition, a, b) "
            "instead of if, and maximum and minimum instead of max and min"
        )

    def __float__(self) -> NoReturn:
        raise CellError(
            f"{author_line()}: `step` turns a gate or state into a Python number; it has no value yet"
        )

    __int__ = __index__ = __float__

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        _unknown(f".{name}")

    def __getitem__(self, index: Any) -> NoReturn:
        _unknown("an index; a gate is one number for each unit")

    def __iter__(self) -> NoReturn:
        _unknown("a loop over units")

    def __matmul__(self, other: Any) -> NoReturn:
        _unknown("@; products with weights are what `gates` are for")

    __rmatmul__ = __matmul__

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Expression:
        """What `torch.tanh(gate)` and its like do while a step is recorded."""
        name = getattr(function, "__name__", str(function))
        known = TORCH_FUNCTIONS.get(name)
        if known is None or kwargs:
            _unknown(f"torch's {name}")
        return known(*args)


def operand(value: Any) -> Expression:
    """A value beside an expression, as an expression."""
    if isinstance(value, Expression):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CellError(
            f"{author_line()}: `step` combines a gate or state with a {type(value).__name__}; it may use numbers, its "
            "gates, its state and its vectors (and no random numbers)"
        )
    if not math.isfinite(value):
        raise CellError(f"{author_line()}: `step` uses the constant {value}")
    return constant(float(value))


def constant(number: float) -> Expression:
    """The same number for every unit."""
    return Expression("constant", number=number)


def add(left: Expression, right: Expression) -> Expression:
    """left + right, simplified where one of them is 0."""
    if _is(left, 0.0):
        return right
    if _is(right, 0.0):
        return left
    if right.operation == "subtract" and _is(right.operands[0], 0.0):
        return subtract(left, right.operands[1])
    return _fold(Expression("add", left, right), lambda a, b: a + b)


def subtract(left: Expression, right: Expression) -> Expression:
    """left - right, simplified where the right one is 0."""
    return left if _is(right, 0.0) else _fold(Expression("subtract", left, right), lambda a, b: a - b)


def multiply(left: Expression, right: Expression) -> Expression:
    """left * right, simplified where one of them is 1, or a constant 0."""
    if _is(left, 1.0):
        return right
    if _is(right, 1.0):
        return left
    if _is(left, 0.0) or _is(right, 0.0):
        return constant(0.0)
    return _fold(Expression("multiply", left, right), lambda a, b: a * b)


def divide(left: Expression, right: Expression) -> Expression:
    """left / right, simplified where the right one is 1."""
    if _is(right, 1.0):
        return left
    if _is(right, 0.0):
        raise CellError(f"{author_line()}: `step` divides by zero")
    return _fold(Expression("divide", left, right), lambda a, b: a / b)


def _is(value: Expression, number: float) -> bool:
    return value.operation == "constant" and value.number == number


def _fold(value: Expression, function: Callable[[float, float], float]) -> Expression:
    if all(one.operation == "constant" for one in value.operands):
        return constant(function(*(one.number for one in value.operands)))
    return value


def _unknown(what: str) -> NoReturn:
    raise UncompilableError(f"{author_line()}: `step` uses {what}, which has no compiled form")


def _where(condition: Any, yes: Any, no: Any) -> Expression:
    if not isinstance(condition, Expression) or condition.operation not in ("less", "less_equal"):
        raise CellError(f"{author_line()}: the first argument of `where` must be a comparison such as x > 0")
    return Expression("where", condition, operand(yes), operand(no))


def _two(operation: str) -> Callable[[Any, Any], Expression]:
    return lambda left, right: Expression(operation, operand(left), operand(right))


TORCH_FUNCTIONS: Mapping[str, Callable[..., Expression]] = {
    **{
        name: lambda x, name=name: Expression(name, operand(x))
        for name in ("sigmoid", "tanh", "relu", "exp", "log")
    },
    "where": _where,
    "maximum": _two("maximum"),
    "minimum": _two("minimum"),
    "add": lambda a, b: operand(a) + operand(b),
    "sub": lambda a, b: operand(a) - operand(b),
    "rsub": lambda a, b: operand(b) - operand(a),
    "mul": lambda a, b: operand(a) * operand(b),
    "div": lambda a, b: operand(a) / operand(b),
    "neg": lambda a: -operand(a),
    "square": lambda a: operand(a) * operand(a),
    "abs": lambda a: abs(operand(a)),
}
"""PyTorch's functions that have a compiled form, by their names."""
