"""What this workspace remembers of a shared store: what is not pushed yet, and when it last marked an object as used.

The notes are small files under `shared/<digest of the URL>/` of the local store. A note of something unpushed is
written before it is pushed, and removed afterwards: a killed process leaves it to the next command.
"""

from __future__ import annotations

import time
from pathlib import Path

from charpipe.store.atomic import write_text
from charpipe.store.digest import digest_of_json

REFRESH_SECONDS = 3600.0
"""How long a mark of use is not written again."""


class Notes:
    """The notes about the shared store at `url` in the local store at `root`; `identifier` is the store's own, which
    changes when its content is replaced."""

    def __init__(self, root: Path, url: str, identifier: str = "") -> None:
        folder = root / "shared" / digest_of_json(url)[:16]
        self.identity, self.cache = folder / "store.json", folder / f"cache-{identifier}"
        self._unpushed, self._used = folder / "unpushed", folder / f"used-{identifier}"

    def add_unpushed(self, action: str, subject: str | None) -> None:
        """Note that the result of an action is not pushed yet; `subject` is the name to push it under, if known."""
        write_text(self._unpushed / action, subject or "")

    def subject_of(self, action: str) -> str | None:
        """The name to push the result of an action under; None if it is not known."""
        try:
            return (self._unpushed / action).read_text(encoding="utf-8") or None
        except OSError:
            return None

    def remove_unpushed(self, action: str) -> None:
        """Note that it is."""
        (self._unpushed / action).unlink(missing_ok=True)

    def unpushed(self) -> list[str]:
        """The actions whose results are not pushed yet, oldest first."""
        if not self._unpushed.is_dir():
            return []
        found = [path for path in self._unpushed.iterdir() if not path.name.startswith(".")]
        return [path.name for path in sorted(found, key=lambda path: path.lstat().st_mtime)]

    def is_fresh(self, action: str) -> bool:
        """Whether this workspace has lately pushed the result of the action, or marked it as used."""
        try:
            age = time.time() - (self._used / action).stat().st_mtime
        except OSError:
            return False
        return 0 <= age < REFRESH_SECONDS

    def use(self, action: str) -> None:
        """Note that the result was pushed, or marked as used, now."""
        self._used.mkdir(parents=True, exist_ok=True)
        (self._used / action).touch()
