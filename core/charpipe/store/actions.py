"""Actions: a stage applied to inputs. The action's digest is the cache key of its result."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charpipe.store.digest import digest_of_json
from charpipe.store.json_objects import parse_object

Record = dict[str, Any]
"""An action, the digest of the object that it made, its subject, and when it was made."""
_KINDS = {"action": dict, "object": str, "subject": str, "made": str}
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Action:
    """Everything that the result of a stage depends on.

    `stage`, and its manually maintained `version`; `inputs`: content digests by name; `settings`: those that the
    stage reads; `code`: the digests of the plugin packages that it uses.
    """

    stage: str
    version: int
    inputs: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The action as the JSON object that its digest is computed from."""
        return {
            "stage": self.stage,
            "version": self.version,
            "inputs": dict(self.inputs),
            "settings": dict(self.settings),
            "code": dict(self.code),
        }

    @property
    def digest(self) -> str:
        """The action's digest."""
        return digest_of_json(self.to_json())


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """How two actions (as JSON) differ, in words: `min_count 1 -> 2, documents changed`."""
    return ", ".join(_differences(old, new)) or "its result is gone"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["version"] != new["version"]:
        yield f"stage version {old['version']} -> {new['version']}"
    for group, noun in (("inputs", "changed"), ("code", "code changed")):
        for name in sorted({*old[group], *new[group]}):
            if old[group].get(name) != new[group].get(name):
                yield f"{name} {noun}"
    before, after = dict(flatten(old["settings"])), dict(flatten(new["settings"]))
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"{name} {before.get(name)} -> {after.get(name)}"


def flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested tables with their dotted keys."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from flatten(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def parse_record(data: bytes | str) -> Record | None:
    """A record of an action as it was stored; None if it is damaged."""
    value = parse_object(data)
    if not all(isinstance(value.get(key), kind) for key, kind in _KINDS.items()):
        return None
    return value if _DIGEST.fullmatch(value["object"]) and "stage" in value["action"] else None


def read_record(path: Path) -> Record | None:
    """The record in a file; None if it is gone or damaged."""
    with suppress(OSError):
        return parse_record(path.read_bytes())
    return None
