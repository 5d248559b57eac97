"""Layers of settings: nested tables laid one over another, each leaf remembering which layer it came from."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from charpipe.errors import UsageError


@dataclass
class Layers:
    """The tables laid so far, and for every dotted key the name of the layer that set it last."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def lay(self, origin: str, table: Mapping[str, Any]) -> None:
        """Lay `table` over what is there: tables merge, everything else replaces."""
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
    """Dotted keys (`"train.budget" = "30m"`) as nested tables."""
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
    """`train.learning_rate=1e-3` as a key and a value; the value is TOML, `null`, or else a plain string."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text!r} is not KEY=VALUE, as in --set train.learning_rate=1e-3")
    if value.strip() == "null":
        return key.strip(), None
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
