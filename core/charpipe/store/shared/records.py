"""Action records in a shared store, and their index by stage and subject, so that nobody reads them all.

`actions/<action>.json` says which object an action made. `index/stages/<stage>/<subject>/` and
`index/objects/<object>/` hold the same record again, one object each, which is only ever created.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from charpipe.store.atomic import write_text
from charpipe.store.backends import Backend, Stored
from charpipe.store.paths import plain_key

FOLDER, INDEX = "actions", "index"
KINDS = {"action": dict, "object": str, "subject": str, "made": str}
Record = dict[str, Any]


def key_of(action: str) -> str:
    """The key of the record of an action, given by its digest."""
    return f"{FOLDER}/{action}.json"


def parse(data: bytes | str) -> Record | None:
    """A record as it was stored; None if it is damaged."""
    with suppress(ValueError):
        value = json.loads(data)
        if isinstance(value, dict) and all(isinstance(value.get(key), kind) for key, kind in KINDS.items()):
            return value
    return None


def parse_file(path: Path) -> Record | None:
    """A record in the local store; None if it is gone or damaged."""
    with suppress(OSError):
        return parse(path.read_bytes())
    return None


def to_bytes(record: Record) -> bytes:
    """The bytes of a record."""
    return json.dumps(record, indent=2, ensure_ascii=False, sort_keys=True).encode()


def read(backend: Backend, action: str) -> tuple[Record, Stored] | None:
    """The record of an action; None if there is none, or it is damaged."""
    stored = backend.read(key_of(action))
    record = None if stored is None else parse(stored.data)
    return None if stored is None or record is None else (record, stored)


def publish(backend: Backend, action: str, record: Record, *, instead: bool) -> Record:
    """Create the record of an action, and return the one that holds: this one, or an earlier one.

    With `instead` an earlier record is replaced, which only the owner of the action's lease may do.
    """
    if backend.create(key_of(action), to_bytes(record)) is not None:
        return record
    stored = backend.read(key_of(action))
    found = None if stored is None else parse(stored.data)
    if stored is not None and (instead or found is None):
        return (
            record
            if backend.replace(key_of(action), to_bytes(record), stored.version)
            else _present(backend, action)
        )
    return found or record


def _present(backend: Backend, action: str) -> Record:
    found = read(backend, action)
    assert found is not None, "a record that was just written by somebody"
    return found[0]


def enter(backend: Backend, action: str, record: Record, subject: str) -> None:
    """Enter a record in the index, for its subject under the name `subject`, and for its object."""
    made, data = re.sub(r"[^0-9T]", "", str(record["made"])), to_bytes(record)
    backend.create(f"{_folder(str(record['action']['stage']), subject)}{made}-{action[:16]}.json", data)
    backend.create(f"{INDEX}/objects/{record['object']}/{action}.json", data)


def of_subject(backend: Backend, stage: str, subject: str, cache: Path) -> list[Record]:
    """The records of a stage for a subject, oldest first. They never change, so the folder `cache` keeps them."""
    found = []
    for entry in backend.list(_folder(stage, subject)):
        path = cache / entry.key.removeprefix(f"{INDEX}/")
        record = parse_file(path)
        if record is None and (record := _read(backend, entry.key)) is not None:
            write_text(path, to_bytes(record).decode())
        if record is not None:
            found.append(record)
    return sorted(found, key=lambda record: str(record["made"]))


def newest(backend: Backend, stage: str, subject: str) -> Record | None:
    """The newest record of a stage for a subject."""
    keys = sorted((entry.key for entry in backend.list(_folder(stage, subject))), reverse=True)
    return next((record for key in keys if (record := _read(backend, key)) is not None), None)


def of_object(backend: Backend, digest: str) -> Record | None:
    """The newest record of an action that made this object."""
    read = (_read(backend, entry.key) for entry in backend.list(f"{INDEX}/objects/{digest}/"))
    return max((record for record in read if record), key=lambda record: str(record["made"]), default=None)


def _folder(stage: str, subject: str) -> str:
    return f"{INDEX}/stages/{plain_key(stage)}/{plain_key(subject)}/"


def _read(backend: Backend, key: str) -> Record | None:
    stored = backend.read(key)
    return None if stored is None else parse(stored.data)
