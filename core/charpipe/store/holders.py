"""Who holds a lease: the record of a lease in the shared store, and its description for people."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace

from charpipe.errors import StoreError
from charpipe.store.command_line import command_line


@dataclass(frozen=True)
class Holder:
    """The record of a lease. `fence` grows by one with each owner, `beats` with each renewal of one owner.

    `nonce` tells apart two acquisitions by one process; `uses` are digests of objects that the owner's work needs.
    """

    fence: int
    seconds: float
    host: str
    pid: int
    command: str
    nonce: str
    beats: int = 0
    released: bool = False
    uses: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.command})"

    def renewed(self) -> Holder:
        """The same owner, one renewal later."""
        return replace(self, beats=self.beats + 1)

    def to_bytes(self) -> bytes:
        """The record as it is stored."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


def this_process(fence: int, seconds: float, uses: Iterable[str] = ()) -> Holder:
    """This process as the owner of a lease."""
    return Holder(
        fence,
        seconds,
        socket.gethostname(),
        os.getpid(),
        command_line(),
        os.urandom(8).hex(),
        uses=tuple(sorted(uses)),
    )


def read_holder(data: bytes, key: str) -> Holder:
    """The record at `key`. Raises StoreError if it is not one."""
    try:
        value = json.loads(data)
        return Holder(
            fence=int(value["fence"]),
            seconds=float(value["seconds"]),
            host=str(value["host"]),
            pid=int(value["pid"]),
            command=str(value["command"]),
            nonce=str(value["nonce"]),
            beats=int(value["beats"]),
            released=bool(value["released"]),
            uses=tuple(map(str, value.get("uses", ()))),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{key} in the shared store is not the record of a lease; delete it") from error
