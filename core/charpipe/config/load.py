"""Load the settings: defaults, the project file, its `[pipelines.NAME]`, a preset, then flags. Later ones win."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from charpipe.config.files import absolute_sources, default_catalogue, find_project_file, read_toml
from charpipe.config.layers import Layers, expand, parse_setting
from charpipe.config.schema import SETTINGS, Config
from charpipe.config.validation import validate
from charpipe.errors import UsageError, near_match

BUILT_IN = "built in"
"""The origin of values from the built-in catalogue."""


@dataclass(frozen=True)
class Resolved:
    """The settings of one command.

    `origins`: by dotted key, where each value that is not a default came from. `options`: the pipeline options that
    its table in the project file sets.
    """

    config: Config
    origins: Mapping[str, str]
    project_file: Path | None
    options: Mapping[str, Any]


def load_config(
    *,
    start: Path | None = None,
    pipeline: str | None = None,
    preset: str | None = None,
    settings: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, str] | None = None,
) -> Resolved:
    """Load all settings for one command.

    `settings`: values from flags or a deployment, with dotted keys. `overrides`: the arguments of `--set`. `flags`:
    the command-line option of each setting, for error messages.
    Raises UsageError with the key's path and a near match.
    """
    layers, project_file = Layers(), find_project_file(start)
    catalogue = default_catalogue()
    if catalogue.is_file():
        layers.lay(BUILT_IN, read_toml(catalogue))
    if project_file is not None and not _same(project_file, catalogue):
        layers.lay(_short(project_file), absolute_sources(read_toml(project_file), project_file.parent))
    options = _lay_pipeline(layers, pipeline) if pipeline else {}
    if preset is not None:
        _lay_preset(layers, preset)
    _lay_settings(layers, "flag", settings or {})
    for text in overrides:
        key, value = parse_setting(text)
        _lay_settings(layers, "--set", {key: value})
    config = validate(Config, layers.values, origins=layers.origins, flags=flags)
    return Resolved(config, layers.origins, project_file, options)


def _lay_pipeline(layers: Layers, name: str) -> dict[str, Any]:
    table = expand(_table(_table(layers.values, "pipelines"), name, "pipelines."))
    chosen = {key: value for key, value in table.items() if key in SETTINGS and isinstance(value, Mapping)}
    layers.lay(f"[pipelines.{name}]", chosen)
    return {key: value for key, value in table.items() if key not in chosen}


def _lay_preset(layers: Layers, name: str) -> None:
    presets = _table(layers.values, "presets")
    if name not in presets:
        raise UsageError(f"there is no preset {name!r}{near_match(name, presets)}")
    _lay_settings(layers, f"preset {name}", _table(presets, name, "presets."))


def _lay_settings(layers: Layers, origin: str, table: Mapping[str, Any]) -> None:
    nested = expand(table)
    for key in nested:
        if key not in (*SETTINGS, "corpora"):
            raise UsageError(f"{key} is not a table of settings{near_match(key, SETTINGS)}")
    layers.lay(origin, nested)


def _table(tables: Mapping[str, Any], name: str, prefix: str = "") -> Mapping[str, Any]:
    found = tables.get(name, {})
    if not isinstance(found, Mapping):
        raise UsageError(f"{prefix}{name} is {found!r}, which is no table")
    return found


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.resolve() == other.resolve()


def _short(path: Path) -> str:
    return os.path.relpath(path)


def leaves(model: BaseModel, prefix: str = "") -> dict[str, Any]:
    """Every value of a model by its dotted key."""
    found: dict[str, Any] = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        found |= _leaves(f"{prefix}{name}", value)
    return found


def _leaves(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, BaseModel):
        return leaves(value, f"{name}.")
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for key, inner in value.items():
            found |= _leaves(f"{name}.{key}", inner)
        return found
    return {name: list(value) if isinstance(value, tuple) else value}
