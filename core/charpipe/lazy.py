"""Names of a package that are imported from their modules when they are first used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def names(package: str, rooms: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for `package`: `rooms` says in which of its modules each name lives."""

    def get(name: str) -> Any:
        if name in rooms:
            return getattr(import_module(f"{package}.{rooms[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get
