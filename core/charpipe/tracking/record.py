"""What MLflow is told about a run, as plain data, kept in the run's folder as `tracking.json`.

It is all that `sync` needs beside `metrics.jsonl` and the checkpoints, and it remembers MLflow's ids, which are
attributes of a run and never its name.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charpipe.errors import RunError

FILE = "tracking.json"
SCHEMA = "charpipe.tracking/1"


@dataclass(frozen=True)
class Dataset:
    """One input of a run: the name of its corpus, a content digest, where it came from, what for ("training",
    "validation", "test"), and counts."""

    name: str
    digest: str
    source: str
    context: str = "training"
    profile: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """A run in MLflow's terms. `params` are the resolved settings by dotted name, `tags` digests and versions."""

    run: str
    experiment: str
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()


@dataclass
class Record:
    """A description and what MLflow has made of it so far: `models` maps "best" and "last" to
    `{"step", "path", "model_id"}`, with `path` relative to the run's folder."""

    description: Description
    uri: str | None = None
    experiment_id: str | None = None
    run_id: str | None = None
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: str = "RUNNING"


def load(folder: Path) -> Record | None:
    """The record in a run's folder, or None. Raises RunError where it cannot be read."""
    path = folder / FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}); remove it to track the run anew") from error
    try:
        if values.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        described = values.pop("description")
        datasets = tuple(Dataset(**dataset) for dataset in described.pop("datasets"))
        return Record(Description(**described, datasets=datasets), **values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is not what charpipe wrote ({error}); remove it to track the run anew") from error


def save(folder: Path, record: Record) -> None:
    """Replace the record in a run's folder, whole or not at all."""
    text = json.dumps({"schema": SCHEMA, **dataclasses.asdict(record)}, indent=1, sort_keys=True, default=str)
    temporary = folder / f".{FILE}.{os.getpid()}"
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(folder / FILE)
