"""Names that are imported from their modules when they are first used, and modules of earlier releases."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for `package` (PEP 562): `modules` says which of its modules defines each name."""

    def get(name: str) -> Any:
        if name in modules:
            return getattr(import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return get


class EarlierModules(MetaPathFinder, Loader):
    """Imports modules of earlier releases by the names they had then, from where their content is now.

    The code that MLflow keeps beside a registered model to serve it imports charpipe's modules by these names, and
    so do Prefect's deployments.
    """

    def __init__(self, moved: Mapping[str, str]) -> None:
        self._moved = moved

    def install(self) -> None:
        """Make `import` find these modules; once, however often it is called."""
        if self not in sys.meta_path:
            sys.meta_path.append(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EarlierModules) and other._moved == self._moved

    def __hash__(self) -> int:
        return hash(frozenset(self._moved.items()))

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in self._moved else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        moved = vars(import_module(self._moved[module.__name__]))
        kept = {name: value for name, value in moved.items() if not name.startswith("__")}
        if "__getattr__" in moved:
            kept["__getattr__"] = moved["__getattr__"]
        vars(module).update(kept)
