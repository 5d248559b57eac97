"""Action records in a shared store, and their index by stage and subject, so that nobody reads them all.

`actions/<action>.json` says which object an action made. `index/stages/<stage>/<subject>/` and
`index/objects/<object>/` hold the same record again, one object each, which is only ever created.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from charpipe.errors import StoreUnreachableError
from charpipe.store.actions import Record, parse_record, read_record
from charpipe.store.atomic import write_text
from charpipe.store.backends import Backend, Stored
from charpipe.store.digest import digest_of_json
from charpipe.store.paths import plain_key

FOLDER, INDEX = "actions", "index"
_ATTEMPTS = 5


def key_of(action: str) -> str:
    """The key of the record of an action, given by its digest."""
    return f"{FOLDER}/{action}.json"


def to_bytes(record: Record) -> bytes:
    """The bytes of a record."""
    return json.dumps(record, indent=2, ensure_ascii=False, sort_keys=True).encode()


def version_of(backend: Backend, action: str) -> str | None:
    """The version of the record of an action, whatever it holds; None if there is none."""
    stored = backend.read(key_of(action))
    return None if stored is None else stored.version


def read(backend: Backend, action: str) -> Record | None:
    """The record of an action; None if there is none, or it is damaged or another action's."""
    stored = backend.read(key_of(action))
    return None if stored is None else _own(action, stored)


def _own(action: str, stored: Stored) -> Record | None:
    record = parse_record(stored.data)
    return record if record is not None and digest_of_json(record["action"]) == action else None


def publish(backend: Backend, action: str, record: Record, instead_of: str | None = None) -> Record:
    """Create the record of an action, and return the one that holds: this one, or that of another machine.

    `instead_of` is the version of an earlier record that is replaced, if it is still the one.
    """
    key, data = key_of(action), to_bytes(record)
    for _ in range(_ATTEMPTS):
        if backend.create(key, data) is not None:
            return record
        if instead_of is not None and backend.replace(key, data, instead_of) is not None:
            return record
        stored = backend.read(key)
        if stored is not None and (found := _own(action, stored)) is not None:
            return found
        if stored is not None and backend.replace(key, data, stored.version) is not None:  # it was damaged
            return record
    raise StoreUnreachableError(f"{backend.url} does not hold {key}, which was just written to it")


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
        record = read_record(path)
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
    return None if stored is None else parse_record(stored.data)
