"""The registry of plugins and what they provide. A duplicate name is an error that names both providers."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
from pydantic import BaseModel

from charpipe.cells import Cell
from charpipe.errors import PluginError, UsageError, near_match
from charpipe.events import Event
from charpipe.plugins import hookspecs
from charpipe.plugins.discovery import OWN, FoundPlugin, find_plugins, import_plugin
from charpipe.plugins.references import API, resolve
from charpipe.plugins.specs import (
    Architecture,
    Check,
    Command,
    Decoder,
    Metric,
    Pipeline,
    Runner,
    Source,
    StorageBackend,
    Tokenizer,
)
from charpipe.store.backends import Backend, Opener, open_backend
from charpipe.store.backends.opening import Settings
from charpipe.store.digest import digest_of_package

KINDS: Mapping[str, type[Any]] = {
    "architecture": Architecture,
    "tokenizer": Tokenizer,
    "source": Source,
    "decoder": Decoder,
    "metric": Metric,
    "pipeline": Pipeline,
    "runner": Runner,
    "store": StorageBackend,
    "command": Command,
    "check": Check,
}


METRIC_NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+")
METRIC_GROUPS = {
    "update": ("val", "test", "text", "perf", "sample"),
    "evaluation": ("train", "text", "perf", "sample"),
}
"""By when a metric is computed: the groups in which charpipe itself reports at other times."""


@dataclass
class Provider:
    """A plugin as found: its problems, and the names it provides by kind."""

    module: str
    origin: str
    version: str
    problems: list[str] = field(default_factory=list)
    provides: dict[str, list[str]] = field(default_factory=dict)

    @property
    def own(self) -> bool:
        """Whether it is charpipe's own."""
        return self.module == OWN

    def digest(self) -> str:
        """The digest of its source files: stored with each run; a change makes a stage run again."""
        return digest_of_package(self.module)


@dataclass(frozen=True)
class Provided:
    """A spec and the plugin it came from."""

    spec: Any
    provider: Provider


class Registry:
    """All plugins of this environment and of `folders`, loaded on first use."""

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = tuple(folders)

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of plugins that are not installed."""
        return tuple(str(folder.absolute()) for folder in self._folders)

    @cached_property
    def _manager(self) -> pluggy.PluginManager:
        manager = pluggy.PluginManager("charpipe")
        manager.add_hookspecs(hookspecs)
        for found_plugin in find_plugins(self._folders):
            provider = Provider(found_plugin.module, found_plugin.origin, found_plugin.version)
            self._providers[found_plugin.module] = provider
            self._register(manager, found_plugin, provider)
        return manager

    @cached_property
    def _providers(self) -> dict[str, Provider]:
        return {}

    def _register(self, manager: pluggy.PluginManager, found_plugin: FoundPlugin, provider: Provider) -> None:
        try:
            module = import_plugin(found_plugin)
            manager.register(module, name=found_plugin.module)
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            provider.problems.append(f"{type(error).__name__}: {error}")
        else:
            provider.problems.extend(_unknown_hooks(module))

    @cached_property
    def _specs(self) -> dict[str, dict[str, list[Provided]]]:
        manager = self._manager
        found: dict[str, dict[str, list[Provided]]] = {kind: {} for kind in KINDS}
        for kind in KINDS:
            for hook in getattr(manager.hook, f"charpipe_{kind}s").get_hookimpls():
                provider = self._providers[hook.plugin_name]
                for spec in self._call(kind, hook.function, provider):
                    name = spec.scheme if isinstance(spec, Source | StorageBackend) else spec.name
                    provider.provides.setdefault(kind, []).append(name)
                    found[kind].setdefault(name, []).append(Provided(spec, provider))
        for kind, names in found.items():
            for name, provided in list(names.items()):
                if len(provided) > 1:
                    own = [one for one in provided if one.provider.own]
                    for one in provided:
                        if one not in own:
                            one.provider.problems.append(_conflict(kind, name, provided))
                    names[name] = own[:1] or provided  # no plugin can shadow charpipe's own
        return found

    @staticmethod
    def _call(kind: str, function: Any, provider: Provider) -> list[Any]:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                specs = list(function())
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            provider.problems.append(f"charpipe_{kind}s raised {type(error).__name__}: {error}")
            return []
        good = []
        for spec in specs:
            if not isinstance(spec, KINDS[kind]):
                provider.problems.append(
                    f"charpipe_{kind}s gave a {type(spec).__name__} instead of a {KINDS[kind].__name__}"
                )
            elif problem := _misfit(spec):
                provider.problems.append(f"charpipe_{kind}s gave a {KINDS[kind].__name__} whose {problem}")
            elif spec.api > API:
                name = getattr(spec, "name", getattr(spec, "scheme", "?"))
                provider.problems.append(
                    f"{kind} {name!r} needs plugin API {spec.api}; this charpipe has {API}: upgrade charpipe"
                )
            else:
                good.append(spec)
        return good

    def providers(self) -> list[Provider]:
        """Every plugin found, including broken ones with their problems."""
        self._specs  # noqa: B018  fills `provides` and the problems of hooks
        return sorted(self._providers.values(), key=lambda provider: provider.module)

    def all(self, kind: str) -> dict[str, Any]:
        """The specs of a kind by name, without names that are provided twice."""
        return {name: given[0].spec for name, given in sorted(self._specs[kind].items()) if len(given) == 1}

    def provided(self, kind: str) -> list[Provided]:
        """The specs of a kind, charpipe's own first in their order, the others by name; otherwise like `all`."""
        given = [one[0] for _, one in sorted(self._specs[kind].items()) if len(one) == 1]
        own = [one[0] for one in self._specs[kind].values() if one[0].provider.own]
        return own + [one for one in given if one not in own]

    def conflicts(self, kind: str) -> dict[str, str]:
        """The names of a kind that are provided twice, each with a sentence that names the providers."""
        given = self._specs[kind].items()
        return {name: _conflict(kind, name, several) for name, several in given if len(several) > 1}

    def find(self, kind: str, name: str) -> Provided:
        """The spec with this name and its provider.

        Raises UsageError for an unknown name, PluginError where its plugin is broken or it is provided twice.
        """
        given = self._specs[kind].get(name, [])
        if len(given) > 1:
            raise PluginError(_conflict(kind, name, given))
        if given:
            return given[0]
        for provider in self.providers():
            if provider.problems and name in (provider.module, *_guesses(provider.module)):
                raise PluginError(
                    f"the plugin {provider.module} ({provider.origin}) is broken: {provider.problems[0]}"
                )
        raise UsageError(f"there is no {kind} {name!r}{near_match(name, self._specs[kind])}")

    def architecture(self, name: str) -> Architecture:
        """The architecture with this name; raises as `find` does."""
        spec: Architecture = self.find("architecture", name).spec
        return spec

    def tokenizer(self, name: str) -> Tokenizer:
        """The tokenizer with this name; raises as `find` does."""
        spec: Tokenizer = self.find("tokenizer", name).spec
        return spec

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline with this name; raises as `find` does."""
        spec: Pipeline = self.find("pipeline", name).spec
        return spec

    def open_store(self, config: Settings) -> Backend:
        """The backend that a `[store]` table names. Raises UsageError if no plugin has the scheme of its URL."""
        return open_backend(config, {name: _opener(spec) for name, spec in self.all("store").items()})

    def notify(self, event: Event) -> None:
        """Call every plugin that listens; one that raises is reported once and not called again."""
        hook = self._manager.hook.charpipe_events
        for listener in hook.get_hookimpls():
            provider = self._providers[listener.plugin_name]
            if not any(problem.startswith("charpipe_events") for problem in provider.problems):
                try:
                    listener.function(event)
                except Exception as error:
                    provider.problems.append(f"charpipe_events raised {type(error).__name__}: {error}")


def _opener(spec: StorageBackend) -> Opener:
    """Opens a backend; what the spec refers to is imported only then."""
    return lambda url, endpoint: resolve(spec.open)(url, endpoint)


def _misfit(spec: Any) -> str | None:
    """Which field of a spec has a wrong type, as text, or None."""
    fields = vars(spec)
    for key in ("name", "scheme", "summary"):
        if key in fields and not isinstance(fields[key], str):
            return f"{key} is {fields[key]!r}, not a text"
    if isinstance(spec, Metric) and not METRIC_NAME.fullmatch(spec.name):
        return f"name is {spec.name!r}, not a group and a name such as 'train/grad_norm'"
    if isinstance(spec, Metric):
        if not callable(spec.function) and not isinstance(spec.function, str):
            return f"function is {spec.function!r}, neither a function nor the name of one"
        group = spec.name.partition("/")[0]
        if spec.when not in METRIC_GROUPS:
            return f"when is {spec.when!r}, not 'update' or 'evaluation'"
        if group in METRIC_GROUPS[spec.when]:
            return f"name is {spec.name!r}; {spec.when}s have no metric of your own in the group {group!r}"
    if isinstance(spec, Architecture):
        if spec.cell is not None and not isinstance(spec.cell, str) and not _is_cell(spec.cell):
            return f"cell is {spec.cell!r}, not a class derived from charpipe.plugin.Cell"
        if sum(one is not None for one in (spec.cell, spec.build, spec.fit)) > 1:
            return "cell, build and fit exclude each other"
    if not isinstance(spec.api, int):
        return f"api is {spec.api!r}, not a number"
    for key in ("config", "options"):
        if key in fields and not (isinstance(fields[key], type) and issubclass(fields[key], BaseModel)):
            return f"{key} is {fields[key]!r}, not an options model"
    return None


def _is_cell(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Cell)


def _unknown_hooks(module: ModuleType) -> list[str]:
    known = [name for name in vars(hookspecs) if name.startswith("charpipe_")]
    return [
        f"{name} is not a hook{near_match(name, known)}"
        for name, value in vars(module).items()
        if name not in known and not isinstance(value, ModuleType) and hasattr(value, "charpipe_impl")
    ]


def _conflict(kind: str, name: str, provided: Sequence[Provided]) -> str:
    names = " and ".join(f"{one.provider.module} ({one.provider.origin})" for one in provided)
    own = any(one.provider.own for one in provided)
    then = "charpipe's own is used: rename the other" if own else "remove one of them"
    return f"{kind} {name!r} is provided by {names}; {then}"


def _guesses(module: str) -> tuple[str, ...]:
    return (module.removeprefix("charpipe_"), module.removeprefix("charpipe-"))
