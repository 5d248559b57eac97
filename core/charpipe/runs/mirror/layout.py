"""What the shared store holds of a run: its attempts, their files, and the checkpoints to resume from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from charpipe.runs.annotations import FILE as ANNOTATIONS
from charpipe.runs.folder import Run
from charpipe.store.backends.backend import Backend
from charpipe.store.json_objects import parse_object

RECORDS = ("run.json", "status.json", "metrics.jsonl", "samples.jsonl", "pending.jsonl")
"""The small files of an attempt, apart from its results."""
RESULT = re.compile(r"results/[\w-]+\.json")
_ATTEMPT = re.compile(r"attempt-([1-9]\d{0,8})/(.+)")
_CHECKPOINT = re.compile(r"checkpoints/step-(\d{8,})/([^/]+)")


@dataclass(frozen=True)
class AttemptRecord:
    """The content of attempt.json: the attempt's number, the fence of its lease, who made it and when; `step` is the
    step of the checkpoint that it started from, 0 if it started from none; `token` identifies the attempt."""

    number: int
    fence: int
    holder: str
    started: str
    step: int
    token: str

    def to_json(self) -> dict[str, Any]:
        """As the shared store holds it."""
        return asdict(self)


@dataclass(frozen=True)
class StoredCheckpoint:
    """A complete checkpoint in the shared store, and the key of its folder."""

    attempt: int
    step: int
    key: str


class Listing:
    """The keys of a run in the shared store, at one moment."""

    def __init__(self, backend: Backend, run: str) -> None:
        self._backend, self.run, self.prefix = backend, run, f"runs/{run}/"
        self._by_attempt: dict[int, set[str]] = {}
        self._other: set[str] = set()
        self.changed = ""
        """When anything of it was last written, by the clock of the storage."""
        for entry in backend.list(self.prefix):
            name = entry.key.removeprefix(self.prefix)
            self.changed = max(self.changed, entry.modified.isoformat())
            if found := _ATTEMPT.fullmatch(name):
                self._by_attempt.setdefault(int(found[1]), set()).add(found[2])
            else:
                self._other.add(name)

    @property
    def exists(self) -> bool:
        """Whether the run is there: its run.json, which is written last."""
        return "run.json" in self._other

    @property
    def attempts(self) -> list[int]:
        """The attempts that were begun, oldest first."""
        return sorted(number for number, names in self._by_attempt.items() if "attempt.json" in names)

    @property
    def newest(self) -> int:
        """The number of the newest attempt; 0 if there is none."""
        return max(self.attempts, default=0)

    @property
    def has_annotations(self) -> bool:
        """Whether somebody gave the run a name, a note or tags."""
        return ANNOTATIONS in self._other

    def steps(self, attempt: int) -> list[int]:
        """The steps of an attempt's complete checkpoints, in order."""
        names = self._by_attempt.get(attempt, ())
        found = (_CHECKPOINT.fullmatch(name) for name in names)
        return sorted(int(one[1]) for one in found if one and one[2] == "manifest.json")

    def files_of(self, attempt: int, step: int) -> list[str]:
        """The keys of everything in a checkpoint's folder, the manifest first."""
        folder = f"checkpoints/step-{step:08d}/"
        names = (name for name in self._by_attempt.get(attempt, ()) if name.startswith(folder))
        return [
            f"{self.prefix}attempt-{attempt}/{name}"
            for name in sorted(names, key=lambda name: (not name.endswith("/manifest.json"), name))
        ]

    def records(self) -> dict[str, str]:
        """The keys of the small files, by name: of each the one in the newest attempt that has it."""
        found: dict[str, str] = {
            name: f"{self.prefix}{name}"
            for name in ("run.json", "vocabulary.json", ANNOTATIONS)
            if name in self._other
        }
        for number in self.attempts:
            for name in self._by_attempt[number]:
                if name in RECORDS or RESULT.fullmatch(name):
                    found[name] = f"{self.prefix}attempt-{number}/{name}"
        return found

    def attempt(self, number: int) -> AttemptRecord | None:
        """The content of an attempt's attempt.json; None if it cannot be read."""
        value = read_json(self._backend, f"{self.prefix}attempt-{number}/attempt.json")
        try:
            return AttemptRecord(
                number,
                int(value["fence"]),
                str(value["holder"]),
                str(value["started"]),
                int(value["step"]),
                str(value["token"]),
            )
        except (KeyError, TypeError, ValueError):
            return None

    def checkpoints(self) -> Iterator[StoredCheckpoint]:
        """The complete checkpoints that the newest attempt descends from, newest first.

        Those of an earlier attempt count up to the step from which the next one started: what a process saved after
        it was replaced belongs to no one.
        """
        limit: float = float("inf")
        for number in reversed(self.attempts):
            for step in reversed(self.steps(number)):
                if step <= limit:
                    yield StoredCheckpoint(number, step, self.checkpoint_key(number, step))
            record = self.attempt(number)
            limit = min(limit, record.step if record is not None else limit)

    def checkpoint_key(self, attempt: int, step: int) -> str:
        """The key of a checkpoint's folder, without a slash at its end."""
        return f"{self.prefix}attempt-{attempt}/checkpoints/step-{step:08d}"


def read_json(backend: Backend, key: str) -> Mapping[str, Any]:
    """The JSON object at `key`; empty if there is none, or it is damaged."""
    stored = backend.read(key)
    return {} if stored is None else parse_object(stored.data)


def deletion_key(run: str) -> str:
    """The key of the note that a run was deleted."""
    return f"index/deleted-runs/{run}.json"


def was_deleted(backend: Backend, run: Run) -> bool:
    """Whether a run was deleted from the store, and not trained further since."""
    created = read_json(backend, deletion_key(run.name)).get("created")
    return created is not None and created == run.info.created


def is_plain_name(name: object) -> bool:
    """Whether `name`, read from the shared store, may become the name of a file or a folder here."""
    return (
        isinstance(name, str)
        and 0 < len(name.encode("utf-8", "surrogateescape")) <= 255
        and PurePosixPath(name).name == name
        and not name.startswith(".")
        and "\\" not in name
        and name.isprintable()
    )


def lease_name(run: str) -> str:
    """The name of the lease of a run."""
    return f"runs/{run}"
