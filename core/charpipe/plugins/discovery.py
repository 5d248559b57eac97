"""Imports plugins in isolation: every error of a plugin becomes a line in the load report."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import Distribution, EntryPoint, entry_points, version
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

GROUP = "charpipe"
HEAVY = ("torch", "mlflow", "prefect", "pyarrow")
"""Packages that a plugin may import only when it is used: listing plugins must stay quick."""


OWN = "charpipe.plugins.builtin"
"""The module with charpipe's own commands and metrics: a plugin like any other, found first."""


@dataclass(frozen=True)
class FoundPlugin:
    """A plugin to load: its `module`, and its file (`path`) if it is not installed."""

    module: str
    path: Path | None = None
    entry_point: EntryPoint | None = None

    @property
    def origin(self) -> str:
        """Where it was found, for display: the distribution and its version, or the file."""
        if self.entry_point is not None and self.entry_point.dist is not None:
            return " ".join(_name_and_version(self.entry_point.dist))
        return f"charpipe {self.version}" if self.module == OWN else str(self.path)

    @property
    def version(self) -> str:
        """The version of the distribution that provides it; empty for a file."""
        if self.module == OWN:
            return version("charpipe")
        dist = self.entry_point.dist if self.entry_point is not None else None
        return _name_and_version(dist)[1] if dist is not None else ""


@cache
def _name_and_version(dist: Distribution) -> tuple[str, str]:
    """Each reads and parses the distribution's metadata, which one of them has for all of its plugins."""
    return dist.name, dist.version


def find_plugins(folders: Sequence[Path]) -> Iterator[FoundPlugin]:
    """charpipe's own plugins, then installed ones by entry point, then modules of `folders` that are not installed."""
    yield FoundPlugin(OWN)
    installed = sorted(entry_points(group=GROUP), key=lambda point: point.value)
    seen = set()
    for point in installed:
        module = point.value.partition(":")[0]
        if module not in seen:
            seen.add(module)
            yield FoundPlugin(module, entry_point=point)
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            found = _module_file(path)
            if found is not None and path.stem not in seen:
                seen.add(path.stem)
                yield FoundPlugin(path.stem, path=found)


def _module_file(path: Path) -> Path | None:
    if path.name.startswith((".", "_")):
        return None
    if path.suffix == ".py" and path.is_file():
        return path
    package = path / "__init__.py"
    return package if package.is_file() else None


def import_plugin(found_plugin: FoundPlugin) -> ModuleType:
    """Import a plugin: suppresses its output, refuses heavy imports. Raises whatever the plugin raises."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), _light_only():
        if found_plugin.path is None:
            return importlib.import_module(found_plugin.module)
        return _import_file(found_plugin.module, found_plugin.path)


def _import_file(name: str, path: Path) -> ModuleType:
    if not name.isidentifier():
        raise ImportError(f"{name!r} is not a module name; rename it to letters, digits and underscores")
    if (taken := sys.modules.get(name) or _elsewhere(name)) is not None:
        if getattr(taken, "__file__", None) == str(path):
            return taken  # type: ignore[return-value]
        raise ImportError(f"there is another Python module named {name!r}; rename this one")
    locations = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(
        name, path, loader=_SourceLoader(name, str(path)), submodule_search_locations=locations
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


class _SourceLoader(SourceFileLoader):
    """Compiles a plugin's file at every import. Python would run kept bytecode of a file that was changed within the
    same second without changing its size, under the digest of the new one."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _elsewhere(name: str) -> ModuleSpec | None:
    with contextlib.suppress(ImportError, ValueError):
        return importlib.util.find_spec(name)
    return None


class _Refuse(MetaPathFinder):
    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        package = fullname.partition(".")[0]
        if package in HEAVY:
            raise ImportError(
                f"it imports {package} when it is listed; name what needs {package} by a string, "
                'as in build="my_plugin.model:build"'
            )


@contextlib.contextmanager
def _light_only() -> Iterator[None]:
    refuse = _Refuse()
    sys.meta_path.insert(0, refuse)
    try:
        yield
    finally:
        sys.meta_path.remove(refuse)
