"""The content of champion.json and version.json, validated before use."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from charpipe.config.identity import file_name
from charpipe.errors import RunError
from charpipe.workspace import Workspace

SCHEMA = "charpipe.champion/1"
BUNDLE = ("model.safetensors", "config.json", "vocabulary.json")
"""The files of the model; other files in a checkpoint are for further training."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Version(_Record):
    """A model that became champion of its corpus. Immutable once written.

    `model` is the digest of the bundle's `files` (name to sha256); `inputs` are the content digests of documents,
    vocabulary and tokens; `action` is the digest of everything the training depended on; `code` the digests of the
    code that trained it; `replaced` the version that was champion before, `parent` the run of its warm start.
    """

    version: int
    corpus: str
    run: str
    model: str
    path: str
    files: dict[str, str]
    architecture: str
    vocabulary: str
    inputs: dict[str, str]
    action: str
    code: dict[str, str] = Field(default_factory=dict)
    scores: dict[str, float] = Field(default_factory=dict)
    kept: str
    by: str
    replaced: int | None = None
    parent: str | None = None


class ChampionState(_Record):
    """The content of champion.json. `last` is the highest version number used so far; `withdrawn` lists the models
    that were rolled back from, which are not promoted again automatically; `decision` is the audit log's line behind
    it."""

    schema_: str = Field(SCHEMA, alias="schema")
    corpus: str
    champion: Version
    previous: Version | None = None
    since: str
    by: str
    decision: dict[str, Any]
    last: int
    withdrawn: tuple[str, ...] = ()


def champion_folder(workspace: Workspace, corpus: str) -> Path:
    """The folder of a corpus's champions, which may not exist."""
    return workspace.root / "champions" / file_name(corpus)


def read_version(folder: Path) -> Version | None:
    """The content of `version.json` in a version's folder, or None if it cannot be read."""
    try:
        return Version.model_validate_json((folder / "version.json").read_bytes())
    except (OSError, ValidationError):
        return None


def read_state(workspace: Workspace, corpus: str) -> ChampionState | None:
    """The content of champion.json, or None if it does not exist. Raises RunError if it is damaged."""
    path = champion_folder(workspace, corpus) / "champion.json"
    try:
        return ChampionState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise RunError(
            f"{path} is damaged ({reason}); the kept models are untouched; name one to be champion again: "
            f"charpipe models rollback {quote(corpus)} --to VERSION (see charpipe models list)"
        ) from error
