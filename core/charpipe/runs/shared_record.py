"""`shared.json` in a run's folder: how the folder relates to the run in the shared store, if there is one."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from charpipe.store.atomic import write_json

NAME = "shared.json"


class SharedRecord(BaseModel):
    """The shared store's URL, and the attempt that this folder holds with its token.

    `mine`: whether a process of this workspace made that attempt, so that this folder is ahead of the store;
    `complete`: whether the store has all of it; `deleted`: whether it was deleted there since. Of an attempt made
    elsewhere: `changed` is when the store's copy was last written, `holder` who trained it when the store was last
    read, and `until` (seconds since 1970) when that lease ends unless it is renewed.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    store: str
    attempt: int = 0
    token: str = ""
    mine: bool = False
    complete: bool = False
    deleted: bool = False
    changed: str = ""
    holder: str | None = None
    until: float = 0.0

    @property
    def is_leased(self) -> bool:
        """Whether a process elsewhere trains the run, as far as is known here."""
        return self.holder is not None and time.time() < self.until

    def write(self, folder: Path) -> None:
        """Write it into a run's folder."""
        write_json(folder / NAME, self.model_dump())


def read_record(folder: Path, store: str | None = None) -> SharedRecord | None:
    """The record in a run's folder; None if there is none, or it is of another store than `store`."""
    try:
        found = SharedRecord.model_validate_json((folder / NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    return found if store in (None, found.store) else None
