"""Garbage collection in a shared store, safe while other machines work with it.

An object goes if no run, champion or running work needs it, it is not the newest of its stage and corpus, and no
machine has used it for as long as the policy says. Its manifest goes first, and the mark of its use is read again then:
whoever uses an object writes the mark before reading the manifest, so one of the two sees the other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from charpipe.config.settings.retention import RetentionConfig
from charpipe.errors import CharpipeError
from charpipe.retention.removal import HOUR, Removed
from charpipe.store.backends import Backend, Entry
from charpipe.store.leases import Acquisition, Lease, held
from charpipe.store.manifest import NAME as MANIFEST
from charpipe.store.server_clock import ServerClock
from charpipe.store.shared import marks

DAY = 24 * HOUR
DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
LEFTOVERS = (".temporary/", "probes/", "clocks/")
LEASE = "gc"


def collect_shared(
    backend: Backend,
    policy: RetentionConfig,
    lease_seconds: float,
    *,
    dry_run: bool = False,
) -> list[Removed]:
    """Remove from a shared store what no machine needs; with `dry_run` only report it.

    Raises CharpipeError, before removing anything, if another machine is collecting.
    """
    clock = ServerClock(backend)
    clock.check(lease_seconds)
    if dry_run:
        return list(_Collection(backend, policy, clock, None).everything())
    lease = Acquisition(backend, LEASE, lease_seconds, clock=clock).attempt()
    if not isinstance(lease, Lease):
        raise CharpipeError(f"{lease} is collecting in {backend.url}; wait for it")
    try:
        return list(_Collection(backend, policy, clock, lease).everything())
    finally:
        lease.release()


@dataclass
class _Content:
    """What the store holds, as listed: the files of each object, the actions that made it, and the marks of use."""

    files: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    actions: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    index: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Keys of the index by stage and subject, by the first 16 digits of the action."""
    newest: set[str] = field(default_factory=set)
    """The first 16 digits of the newest action of each stage and subject."""
    marks: dict[str, Entry] = field(default_factory=dict)

    @classmethod
    def of(cls, backend: Backend) -> _Content:
        content = cls()
        for entry in backend.list("objects/"):
            content.files[entry.key.split("/")[1]].append(entry)
        for entry in backend.list("index/objects/"):
            _, _, digest, name = entry.key.split("/")
            content.actions[digest].append(name.removesuffix(".json"))
        newest: dict[str, str] = {}
        for entry in backend.list("index/stages/"):
            folder, _, name = entry.key.rpartition("/")
            content.index[name.removesuffix(".json").rpartition("-")[2]].append(entry.key)
            newest[folder] = max(newest.get(folder, ""), name)
        content.newest = {name.removesuffix(".json").rpartition("-")[2] for name in newest.values()}
        content.marks = {entry.key.rpartition("/")[2]: entry for entry in backend.list("marks/")}
        return content


class _Collection:
    """One collection of a shared store; without a lease it is a dry run."""

    def __init__(
        self, backend: Backend, policy: RetentionConfig, clock: ServerClock, lease: Lease | None
    ) -> None:
        self._backend, self._clock, self._lease = backend, clock, lease
        self._limit = max(policy.keep_days * DAY, policy.grace_hours * HOUR)
        self._began = clock.now()
        self._gone: set[str] = set()
        """The actions whose results are gone, or going."""

    def everything(self) -> Iterator[Removed]:
        content = _Content.of(self._backend)
        needed = self._needed(content)
        for digest, files in sorted(content.files.items()):
            is_whole = any(entry.key.endswith(f"/{digest}/{MANIFEST}") for entry in files)
            limit = self._limit if is_whole else max(self._limit, DAY)
            used = [entry for entry in (*files, content.marks.get(digest)) if entry is not None]
            if digest not in needed and all(self._is_old(entry.modified, limit) for entry in used):
                yield from self._remove_object(digest, files, content)
        for digest in sorted(content.actions.keys() - content.files.keys()):
            yield from self._remove_records(digest, content)
        for folder in LEFTOVERS:
            old = [entry for entry in self._backend.list(folder) if self._is_old(entry.modified, DAY)]
            yield from self._remove_all("leftover", folder, old, "left by a process that was killed")
        yield from self._marks(content)
        yield from self._leases(content)

    def _needed(self, content: _Content) -> set[str]:
        """Objects that a run, a champion or running work refers to, and the newest of each stage and corpus."""
        needed = {
            digest
            for digest, actions in content.actions.items()
            if any(action[:16] in content.newest for action in actions)
        }
        for holder in held(self._backend, self._clock).values():
            needed |= set(holder.uses)
        runs = [entry.key for entry in self._backend.list("runs/") if entry.key.endswith("/run.json")]
        champions = [entry.key for entry in self._backend.list("champions/") if ".json" in entry.key]
        for key in (*runs, *champions):
            if (stored := self._backend.read(key)) is not None:
                needed |= {found.decode() for found in DIGEST.findall(stored.data)}
        return needed

    def _is_old(self, modified: datetime, limit: float) -> bool:
        return modified.timestamp() < self._began and self._clock.age(modified) > limit

    def _remove_object(self, digest: str, files: list[Entry], content: _Content) -> Iterator[Removed]:
        if self._lease is not None and not self._take_manifest(digest):
            return
        yield from self._remove_records(digest, content)
        yield from self._remove_all(
            "object",
            f"objects/{digest}",
            files,
            "no run or model needs it, and no machine has used it lately",
        )
        self._delete([marks.key_of(digest)])

    def _take_manifest(self, digest: str) -> bool:
        """Remove an object's manifest; False, with the manifest restored, if it came into use meanwhile."""
        key = f"objects/{digest}/{MANIFEST}"
        before, manifest = self._backend.read(marks.key_of(digest)), self._backend.read(key)
        if before is not None and not self._is_old(before.modified, self._limit):
            return False
        self._delete([key])
        after = self._backend.read(marks.key_of(digest))
        if after is None or (before is not None and after.version == before.version):
            return True
        if manifest is not None:
            self._backend.create(key, manifest.data)
        return False

    def _remove_records(self, digest: str, content: _Content) -> Iterator[Removed]:
        """Remove the records of the actions that made an object, which is gone or going."""
        keys = []
        for action in content.actions.get(digest, ()):
            key = f"actions/{action}.json"
            stored = self._backend.read(key)
            if stored is not None and digest.encode() in stored.data:
                keys.append(key)
            self._gone.add(action)
            keys += [f"index/objects/{digest}/{action}.json", *content.index.get(action[:16], ())]
        if keys:
            self._delete(keys)
            if digest not in content.files:
                yield Removed("record", f"{self._backend.url}/{keys[0]}", 0, "its result is gone")

    def _marks(self, content: _Content) -> Iterator[Removed]:
        """Remove marks of objects that are not in the store."""
        entries = [
            entry
            for digest, entry in content.marks.items()
            if digest not in content.files and self._is_old(entry.modified, DAY)
        ]
        yield from self._remove_all("leftover", "marks", entries, "their objects are gone")

    def _leases(self, content: _Content) -> Iterator[Removed]:
        """Remove leases of actions whose results are gone, unless they were used lately."""
        there = {action for actions in content.actions.values() for action in actions} - self._gone
        entries = [
            entry
            for entry in self._backend.list("leases/actions/")
            if entry.key.rpartition("/")[2].removesuffix(".json") not in there
            and self._is_old(entry.modified, max(self._limit, DAY))
        ]
        yield from self._remove_all("lease", "leases/actions", entries, "an unused lease")

    def _remove_all(self, kind: str, path: str, entries: list[Entry], why: str) -> Iterator[Removed]:
        if entries:
            self._delete(entry.key for entry in entries)
            yield Removed(kind, f"{self._backend.url}/{path}", sum(entry.bytes for entry in entries), why)

    def _delete(self, keys: Iterable[str]) -> None:
        if self._lease is not None:
            self._lease.check()
            self._backend.delete(keys)
