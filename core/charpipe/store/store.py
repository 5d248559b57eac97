"""The store: objects by content digest, and records of which action made each object.

With a shared store the local one is its cache: what is made is pushed, and what some machine has made is pulled.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charpipe.errors import StoreError
from charpipe.store.actions import Action, Record, difference, read_record
from charpipe.store.atomic import publish_folder, write_json
from charpipe.store.digest import digest_of_json
from charpipe.store.locks import exclusive
from charpipe.store.manifest import NAME as MANIFEST
from charpipe.store.manifest import Manifest, describe, is_whole, read_manifest

if TYPE_CHECKING:
    from charpipe.store.shared import SharedStore

Make = Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True)
class Built:
    """An object in the store. `reused`: it existed before; `why`: the reason it was built."""

    path: Path
    digest: str
    facts: Mapping[str, Any]
    reused: bool
    why: str = ""


class Store:
    """The store at `root`: `objects/<digest>/`, `actions/<digest>.json`, `locks/`, `making/`; `shared` is the store
    that machines share, if there is one."""

    def __init__(self, root: Path, shared: SharedStore | None = None) -> None:
        self.root, self.shared = root, shared

    def object(self, digest: str) -> Path:
        """The path of the object with this digest, whether or not it exists."""
        return self.root / "objects" / digest

    def obtain(self, digest: str, stage: str = "store") -> Path:
        """The path of the object with this digest, pulled from the shared store if it is not here but there."""
        folder = self.object(digest)
        if self.shared is not None and digest and not (folder / MANIFEST).is_file():
            self.shared.pull(digest, stage)
        return folder

    def holds(self, digest: str) -> bool:
        """Whether the object with this digest is here, or in the shared store."""
        return self.object(digest).is_dir() or (self.shared is not None and self.shared.holds(digest))

    def find(self, action: Action, *, pull: bool = True) -> Built | None:
        """The stored result of `action`, if it exists and is intact. Touches its record, which marks it as used.

        If it is not here, it is pulled from the shared store, unless `pull` is False.
        """
        built = self._find(action)
        if self.shared is None or not pull:
            return built
        if built is not None:
            self.shared.use(action, built.digest)
            if self._record(action).exists():  # else another machine's result holds
                return built
        return self._find(action) if self.shared.fetch(action) else None

    def _find(self, action: Action) -> Built | None:
        path = self._record(action)
        record = read_record(path)
        if record is None:
            return None
        with suppress(OSError):
            os.utime(path)
        folder = self.object(record["object"])
        try:
            manifest = read_manifest(folder)
        except StoreError:
            return None
        if manifest.check(folder) is not None:
            return None
        return Built(folder, record["object"], manifest.facts, reused=True)

    def made(self, digest: str) -> Record | None:
        """The newest action record for the object with this digest, or None."""
        same = [record for _, record in self.records() if record["object"] == digest]
        newest = max(same, key=lambda record: str(record["made"]), default=None)
        return self.shared.made(digest) if newest is None and self.shared is not None else newest

    def settings_of(self, action: str) -> dict[str, Any]:
        """The settings of the recorded action with this digest; empty if there is none."""
        record = read_record(self.root / "actions" / f"{action}.json")
        return dict(record["action"]["settings"]) if record else {}

    def history(self, stage: str, subject: str) -> list[Record]:
        """The records of a stage for a subject, oldest first: those of this store, and those of the shared one."""
        here = [
            record
            for _, record in self.records()
            if record["subject"] == subject and record["action"]["stage"] == stage
        ]
        name = None if self.shared is None else self.shared.subject(subject)
        if self.shared is not None and name is not None:
            known = {(digest_of_json(record["action"]), record["object"]) for record in here}
            for record in self.shared.history(stage, name):
                if (digest_of_json(record["action"]), record["object"]) not in known:
                    here.append(record)
        return sorted(here, key=lambda record: str(record["made"]))

    def records(self) -> list[tuple[Path, Record]]:
        """Every readable action record, with its path."""
        paths = sorted((self.root / "actions").glob("*.json"))
        return [(path, record) for path in paths if (record := read_record(path)) is not None]

    def last(self, subject: str, stage: str) -> Path | None:
        """The folder of the latest object that this stage made for the subject, or None."""
        record = self._last(stage, subject)
        folder = self.object(record["object"]) if record else None
        return folder if folder is not None and folder.is_dir() else None

    def why(self, action: Action, subject: str) -> str:
        """How `action` differs from the latest action of its stage for the same subject, in words."""
        last = self._last(action.stage, subject)
        if last is None:
            return "first time"
        return difference(last["action"], action.to_json())

    def build(
        self,
        action: Action,
        make: Make,
        subject: str,
        *,
        force: bool = False,
        on_wait: Callable[[str], None] = lambda holder: None,
        on_start: Callable[[str], None] = lambda why: None,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> Built:
        """Return the object of `action`, from the store or made by `make(folder)`.

        `make` fills an empty folder and returns facts. If another process builds the same action, this one waits:
        `on_wait` is called with the holder, and `while_waiting` may raise to stop waiting. `on_start` is called with
        the reason for building.
        """
        if not force and (found := self.find(action)):
            return found
        why = "forced" if force else self.why(action, subject)
        with self.lock(action, on_wait, while_waiting):
            if not force and (found := self.find(action)):
                return found
            on_start(why)
            return self.make(action, make, subject, why)

    def lock(
        self,
        action: Action,
        on_wait: Callable[[str], None] = lambda holder: None,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> AbstractContextManager[None]:
        """The lock of `action`, which one process at a time can hold, of all machines; see `exclusive`."""
        local = exclusive(self.root / "locks" / f"{action.digest}.lock", on_wait, while_waiting)
        if self.shared is None:
            return local
        return _both(local, self.shared.owning(action, on_wait, while_waiting))

    def make(self, action: Action, make: Make, subject: str, why: str = "") -> Built:
        """Build and record the object of `action` even if it exists. The caller must hold its `lock`."""
        digest, manifest = self._make(action, make)
        record = {"action": action.to_json(), "object": digest, "subject": subject, "made": _now()}
        write_json(self._record(action), record)
        if self.shared is not None and self.shared.push(action, record)["object"] != digest:
            # another machine made it while the shared store was lost
            self._record(action).unlink(missing_ok=True)
            if (found := self.find(action)) is not None:
                return replace(found, reused=False, why=why)
        return Built(self.object(digest), digest, manifest.facts, reused=False, why=why)

    def _make(self, action: Action, make: Make) -> tuple[str, Manifest]:
        making = self.root / "making"
        making.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=making, prefix=f"{action.stage}-"))
        try:
            facts = make(folder)
            manifest = describe(folder, f"charpipe.{action.stage}/{action.version}", facts)
            manifest.write(folder)
            final = self.object(manifest.digest)
            if self.shared is not None:
                self.shared.check()
            if final.is_dir() and not is_whole(final, manifest):
                shutil.rmtree(final)
            publish_folder(folder, final)
        except OSError as error:
            raise StoreError(
                f"{action.stage} could not be written to {self.root}: {error.strerror or error}; "
                "the previous content is intact"
            ) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return manifest.digest, manifest

    def _record(self, action: Action) -> Path:
        return self.root / "actions" / f"{action.digest}.json"

    def _last(self, stage: str, subject: str) -> Record | None:
        records = [record for _, record in self.records()]
        same = [r for r in records if r["subject"] == subject and r["action"]["stage"] == stage]
        newest = max(same, key=lambda record: str(record["made"]), default=None)
        if newest is None and self.shared is not None:
            return self.shared.newest(stage, self.shared.subject(subject) or subject)
        return newest


@contextmanager
def _both(outer: AbstractContextManager[None], inner: AbstractContextManager[None]) -> Iterator[None]:
    with outer, inner:
        yield


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
