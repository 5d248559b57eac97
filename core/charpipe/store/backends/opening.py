"""Opening a backend by the scheme of its URL."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

from charpipe.errors import UsageError, near_match
from charpipe.store.backends.backend import Backend
from charpipe.store.secrets import find_secret, without_secret

Opener = Callable[[str, str | None], Backend]
"""`open(url, endpoint)` returns a backend. Raises UsageError if the URL is not one that it understands."""


def _lazy(module: str, function: str) -> Opener:
    def opened(url: str, endpoint: str | None) -> Backend:
        found: Opener = getattr(importlib.import_module(module), function)
        return found(url, endpoint)

    return opened


_OBJECT_STORAGE = _lazy("charpipe.store.backends.object_storage", "open_object_storage")
OPENERS: Mapping[str, Opener] = {
    "file": _lazy("charpipe.store.backends.folder", "open_folder"),
    "s3": _OBJECT_STORAGE,
    "gs": _OBJECT_STORAGE,
    "az": _OBJECT_STORAGE,
}
"""The backends that charpipe has itself, by URL scheme."""


class Settings(Protocol):
    """The part of the `[store]` table that a backend needs."""

    @property
    def url(self) -> str | None: ...

    @property
    def endpoint(self) -> str | None: ...


def open_backend(config: Settings, openers: Mapping[str, Opener] = OPENERS) -> Backend:
    """The backend that the `[store]` table names. Raises UsageError if no backend has the scheme of its URL."""
    url = config.url or ""
    scheme = urlsplit(url).scheme
    if find_secret(url) is not None:
        raise UsageError(
            f"store.url holds a secret ({without_secret(url)}); give credentials in the environment"
        )
    if scheme not in openers:
        raise UsageError(f"there is no storage backend for {url!r}{near_match(scheme, openers)}")
    return openers[scheme](url, config.endpoint)
