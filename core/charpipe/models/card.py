"""The JSON files of a model on disk, read with checks. Imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from charpipe.errors import RunError

SCHEMA = "charpipe.model/1"
LARGEST_JSON = 256 << 20
LARGEST_VOCABULARY = 1 << 24


def read_card(folder: Path) -> dict[str, Any]:
    """The checked content of a bundle's `config.json`."""
    path = folder / "config.json"
    card = read_json(path)
    if card.get("schema") != SCHEMA:
        raise RunError(
            f"{path} has schema {card.get('schema')!r} instead of {SCHEMA!r}; a newer charpipe may read it"
        )
    kinds = {"architecture": str, "config": dict, "vocabulary_size": int, "plugin": dict}
    for key, kind in kinds.items():
        if not isinstance(card.get(key), kind):
            raise RunError(f"{path} has no usable {key!r}")
    if not 1 <= card["vocabulary_size"] <= LARGEST_VOCABULARY:
        raise RunError(f"{path} claims a vocabulary of {card['vocabulary_size']}")
    return card


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from an untrusted file. Raises RunError if it is not one."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise RunError(f"{path} is too large to be what it should be")
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} holds no JSON object")
    return value
