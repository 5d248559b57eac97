"""The workspace's records of champions, validated before use.

    champions/<corpus>/champion.json         the one file that decides: champion, previous, the decision behind it
    champions/<corpus>/versions/0003/        version.json, checkpoint/ (a copy of the run's), splits.parquet
    champions/<corpus>/audit.jsonl           every decision, promoted or not

Paths in the records are relative to the workspace, which can be moved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from urllib.parse import unquote

from charpipe.champions.audit import decisions
from charpipe.champions.references import parse_reference
from charpipe.champions.state import ChampionState, Version, champion_folder, read_state, read_version
from charpipe.config.files import find_project_file
from charpipe.config.identity import spoken
from charpipe.errors import RunError, UsageError, near_match
from charpipe.store.digest import digest_of_file
from charpipe.workspace import Workspace


@dataclass(frozen=True)
class Champion:
    """A stored model whose files match their digests. `folder` is a complete checkpoint: the bundle that
    `charpipe.models.loaded.load_bundle` reads, and the optimizer state for further training."""

    version: Version
    folder: Path

    @property
    def name(self) -> str:
        """`linux_src version 3`."""
        return f"{self.version.corpus} version {self.version.version}"

    @property
    def run(self) -> str:
        return self.version.run

    @property
    def model(self) -> str:
        return self.version.model

    @property
    def inputs(self) -> Mapping[str, str]:
        return self.version.inputs

    @property
    def splits(self) -> Path:
        """`splits.parquet` of its tokens: the text that it was trained on."""
        return self.folder.parent / "splits.parquet"


def champion(workspace: Workspace, corpus: str) -> Champion | None:
    """The champion of a corpus, or None if there is none.

    Compares every file with its digest. Raises RunError if one is missing or altered; the message says what to type.
    """
    state = read_state(workspace, corpus)
    if state is None:
        return None
    found = kept(workspace, state.champion)
    if (wrong := damage(found)) is not None:
        raise RunError(
            f"the champion of {corpus} (version {state.champion.version}, run {state.champion.run}) is damaged: "
            f"{wrong}; nothing was loaded; {_way_out(workspace, state)}"
        )
    return found


def previous(workspace: Workspace, corpus: str) -> Champion | None:
    """The previous champion, or None. Raises RunError if its files are missing or altered."""
    state = read_state(workspace, corpus)
    if state is None or state.previous is None:
        return None
    found = kept(workspace, state.previous)
    if (wrong := damage(found)) is not None:
        raise RunError(
            f"the previous champion of {corpus} (version {state.previous.version}) is damaged: {wrong}; nothing "
            f"was loaded; the champion is another: charpipe models show {quote(corpus)}"
        )
    return found


def kept(workspace: Workspace, version: Version) -> Champion:
    """A version with the folder of its files, which are not verified."""
    return Champion(version, workspace.root / version.path)


def damage(found: Champion) -> str | None:
    """A description of what is wrong with a stored model's files, or None if they match the record."""
    for name, expected in found.version.files.items():
        path = found.folder / name
        try:
            if digest_of_file(path) != expected:
                return f"{name} has been changed"
        except FileNotFoundError:
            return f"{name} is gone"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return None


def named(workspace: Workspace, wanted: str) -> Champion | None:
    """The model that `champion:CORPUS` or `previous:CORPUS` names; None if `wanted` is neither.

    Raises UsageError with near matches for a corpus without a champion, RunError if the champion is damaged.
    """
    reference = parse_reference(wanted)
    if reference is None:
        return None
    corpus = meant(workspace, reference.corpus)
    found = (champion if reference.alias == "champion" else previous)(workspace, corpus)
    if found is None:
        known = corpora(workspace)
        if corpus in known:
            raise UsageError(f"{corpus} has no previous champion: version 1 is its first")
        raise UsageError(
            f"{corpus!r} has no champion{near_match(corpus, known)}; the first comes with: "
            f"charpipe models promote RUN"
        )
    return found


def meant(workspace: Workspace, wanted: str) -> str:
    """The corpus with a champion that matches an identity, a path or a URL; see `identity.spoken`."""
    return spoken(wanted, corpora(workspace), workspace.root, find_project_file())


def corpora(workspace: Workspace) -> list[str]:
    """The corpora that have a champion, by name; a damaged record is listed by its folder's name."""
    found = []
    for path in sorted((workspace.root / "champions").glob("*/champion.json")):
        try:
            found.append(str(json.loads(path.read_text(encoding="utf-8"))["corpus"]))
        except (OSError, ValueError, KeyError, TypeError):
            found.append(unquote(path.parent.name))
    return sorted(found)


def versions(workspace: Workspace, corpus: str) -> list[Version]:
    """Every stored version of a corpus, oldest first, including damaged ones, but not those of interrupted
    promotions."""
    promoted = {(line.get("version"), line.get("model")) for line in decisions(workspace, corpus)}
    found = []
    for folder in (champion_folder(workspace, corpus) / "versions").glob("[0-9]*"):
        version = read_version(folder)
        if version is not None and (version.version, version.model) in promoted:
            found.append(version)
    return sorted(found, key=lambda version: version.version)


def _way_out(workspace: Workspace, state: ChampionState) -> str:
    """What to type if the champion's files are unusable."""
    last = state.previous
    if last is not None and damage(kept(workspace, last)) is None:
        return f"version {last.version} is intact: charpipe models rollback {quote(state.corpus)}"
    run = workspace.root / "runs" / state.champion.run
    if run.is_dir():
        return f"its run is still here: charpipe models promote {state.champion.run} --anyway"
    return "promote another run: charpipe models promote RUN --anyway"
