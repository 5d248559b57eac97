"""Layered settings: nested tables that override one another, with the origin of each value."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charpipe.errors import UsageError


@dataclass
class Layers:
    """The merged tables, and for every dotted key the name of the layer that set it last."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def lay(self, origin: str, table: Mapping[str, Any]) -> None:
        """Apply `table` on top of the current values: tables are merged, other values are replaced."""
        self._merge(origin, self.values, table, "")

    def _merge(self, origin: str, below: dict[str, Any], above: Mapping[str, Any], prefix: str) -> None:
        for key, value in above.items():
            name = f"{prefix}{key}"
            if isinstance(value, Mapping):
                inner = below.get(key)
                below[key] = inner if isinstance(inner, dict) else {}
                self._merge(origin, below[key], value, f"{name}.")
            else:
                below[key] = value
                self.origins[name] = origin


def expand(table: Mapping[str, Any]) -> dict[str, Any]:
    """Expand dotted keys (`"train.budget" = "30m"`) to nested tables. Raises UsageError on a conflict."""
    result: dict[str, Any] = {}
    for key, value in table.items():
        inner = expand(value) if isinstance(value, Mapping) else value
        *path, last = key.split(".") if "." in key and "/" not in key else [key]
        target = result
        for part in path:
            if not isinstance(target.setdefault(part, {}), dict):
                raise UsageError(f"{key} cannot be set: {part} is set to {target[part]!r}, which is no table")
            target = target[part]
        if isinstance(inner, dict) and isinstance(target.get(last), dict):
            target[last].update(inner)
        else:
            target[last] = inner
    return result


def parse_setting(text: str) -> tuple[str, Any]:
    """Parse `train.learning_rate=1e-3` to a key and a value: `null`, a TOML value, or otherwise a plain string."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text!r} is not KEY=VALUE, as in --set train.learning_rate=1e-3")
    if value.strip() == "null":
        return key.strip(), None
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
