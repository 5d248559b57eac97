"""The marker of hooks, the version of the plugin API, and references to what is imported when it is first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pluggy

from charpipe.errors import PluginError

API = 1
"""The version of these contracts. A plugin that asks for a later one is refused by name."""

hookimpl = pluggy.HookimplMarker("charpipe")

Reference = str | Callable[..., Any]
"""A callable, or `"module:attribute"` naming one that is imported when it is first used."""


def resolve(reference: Reference) -> Callable[..., Any]:
    """The callable behind a reference. Raises PluginError if it is not there."""
    if not isinstance(reference, str):
        return reference
    module, _, attribute = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{reference!r} cannot be imported: {error}") from error
    if not callable(found):
        raise PluginError(f"{reference!r} is not callable")
    return found  # type: ignore[no-any-return]
