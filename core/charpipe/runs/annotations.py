"""What the user says of a run: another name, a note, tags. Training does not depend on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from charpipe.errors import RunError
from charpipe.store.atomic import write_json

FILE = "annotations.json"


class Annotations(BaseModel):
    """The content of `annotations.json` in a run's folder. A tag without a value has an empty one."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str | None = None
    note: str = ""
    tags: dict[str, str] = Field(default_factory=dict)

    def changed(self, **values: Any) -> Annotations:
        """The annotations with other values."""
        return self.model_copy(update=values)


def read_annotations(folder: Path) -> Annotations:
    """The annotations of the run in this folder; empty if there are none. Raises RunError if they are damaged."""
    path = folder / FILE
    try:
        return Annotations.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Annotations()
    except (OSError, ValidationError) as error:
        raise RunError(
            f"{path} cannot be read; to write the run's name, note and tags again, delete it"
        ) from error


def write_annotations(folder: Path, annotations: Annotations) -> None:
    """Write the annotations of a run."""
    write_json(folder / FILE, annotations.model_dump())
