"""Removing objects of the store that no kept run, model or action record needs.

An object that comes into use meanwhile is restored: `Store.find` touches its record before reading the object, and
the removal checks the record again after the rename.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from charpipe.retention.file_facts import freed_bytes, modified
from charpipe.retention.removal import PREFIX, Removed, Remover
from charpipe.store import Store
from charpipe.store.atomic import publish_folder
from charpipe.store.unpushed import unpushed_actions


def remove_objects(remover: Remover) -> Iterator[Removed]:
    """Remove unreferenced objects with their action records, and records whose object is gone."""
    store = Store(remover.workspace.store)
    records = store.records()
    by_object: dict[str, list[Path]] = defaultdict(list)
    newest: dict[tuple[str, str], tuple[str, str]] = {}
    for path, record in records:
        by_object[record["object"]].append(path)
        key = (record["action"]["stage"], record["subject"])
        newest[key] = max(newest.get(key, ("", "")), (str(record["made"]), record["object"]))
    waiting = unpushed_actions(store.root)  # for a shared store, which does not have them yet
    needed = remover.kept.objects | {digest for _, digest in newest.values()}
    needed |= {record["object"] for path, record in records if path.stem in waiting}
    for folder in sorted((store.root / "objects").glob("[0-9a-f]*")):
        if folder.name not in needed:
            yield from _remove_object(remover, folder, by_object.get(folder.name, []))
    for path, record in records:
        orphaned = path.exists() and not store.object(record["object"]).is_dir()
        if orphaned and remover.is_old(modified(path)):
            yield from remover.remove("record", path, "its result is gone")


def _remove_object(remover: Remover, folder: Path, records: list[Path]) -> Iterator[Removed]:
    def used() -> float:
        return max([modified(folder / "manifest.json"), *(modified(path) for path in records)])

    if not remover.is_old(used()):
        return
    size, aside = freed_bytes(folder), remover.workspace.store / "making" / f"{PREFIX}{folder.name}"
    if not remover.dry_run:
        shutil.rmtree(aside, ignore_errors=True)  # left by a killed removal
        aside.parent.mkdir(exist_ok=True)
        folder.rename(aside)
        if not remover.is_old(used()):  # in use since, and possibly built again
            publish_folder(aside, folder)
            return
        for path in records:
            path.unlink(missing_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
    yield Removed("object", remover.workspace.relative(folder), size, "no kept run or model was made from it")
