"""Machines that share a store: each has a local store of its own, and is told what the shared one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from charpipe.errors import StoreUnreachableError
from charpipe.store import Store
from charpipe.store.backends import Backend
from charpipe.store.shared import Connection, SharedStore


class Machine:
    """One command on a machine whose local store lies at `root`."""

    def __init__(self, root: Path, backend: Backend, seconds: float = 600.0) -> None:
        self.notices: list[tuple[str, str]] = []
        self.transferred: list[tuple[str, int, int]] = []
        self.connection = Connection(backend, seconds)
        self.shared = SharedStore(self.connection, root, self)
        self.store = Store(root, self.shared)

    def notice(self, message: str, level: str = "info") -> None:
        self.notices.append((level, message))

    def progress(self, stage: str, done: int, total: int) -> None:
        self.transferred.append((stage, done, total))

    def warnings(self) -> list[str]:
        return [message for level, message in self.notices if level == "warning"]

    def told(self) -> str:
        return "\n".join(message for _, message in self.notices)


class Flaky:
    """A backend that passes everything on to `inner`, counts it, and can be made to fail.

    `is_down`: nothing is answered. `before(method, key)`, if set, is called first, and may raise.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner, self.url = inner, inner.url
        self.is_down = False
        self.calls: list[tuple[str, str]] = []
        self.before: Any = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if not callable(method):
            return method

        def call(*words: Any) -> Any:
            key = words[0] if words and isinstance(words[0], str) else ""
            self.calls.append((name, key))
            if self.before is not None:
                self.before(name, key)
            if self.is_down:
                raise StoreUnreachableError(f"{self.url} does not answer (for this test)")
            return method(*words)

        return call
