"""Promote a model to champion: store a copy, switch to it in one step, then log the decision.

A process that ends at any point leaves either the old champion or the new one, complete. Callers of `promote`,
`decline` or `roll_back` hold `deciding`, so that two decisions never run concurrently. With a shared store the switch
is a compare-and-swap there, and the workspace follows it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from charpipe.champions.audit import append, sealed
from charpipe.champions.records import Champion, damage, kept, versions
from charpipe.champions.state import SCHEMA, ChampionState, Version, champion_folder, read_state
from charpipe.errors import RunError, StoreError, UsageError
from charpipe.store.atomic import publish_folder, write_json
from charpipe.store.digest import digest_of_file, digest_of_json
from charpipe.store.locks import exclusive
from charpipe.workspace import Workspace

if TYPE_CHECKING:
    from charpipe.champions.shared import SharedChampions


@dataclass(frozen=True)
class Candidate:
    """A checkpoint that may become the champion of its corpus, and its origin; see `Version`."""

    corpus: str
    run: str
    checkpoint: Path
    files: Mapping[str, str]
    architecture: str
    inputs: Mapping[str, str]
    action: str
    code: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    parent: str | None = None

    @property
    def model(self) -> str:
        """The digest of the bundle."""
        return digest_of_json(dict(self.files))


@contextmanager
def deciding(
    workspace: Workspace,
    corpus: str,
    on_wait: Callable[[str], None] = lambda holder: None,
    while_waiting: Callable[[], None] = lambda: None,
    shared: SharedChampions | None = None,
) -> Iterator[None]:
    """Hold the lock for decisions about a corpus's champion, and the lease of the shared store; first logs the
    decision of a process that ended before it could."""
    with ExitStack() as stack:
        lock = champion_folder(workspace, corpus) / "promotion.lock"
        stack.enter_context(exclusive(lock, on_wait, while_waiting))
        if shared is not None:
            stack.enter_context(shared.deciding(corpus, on_wait, while_waiting))
        with suppress(RunError):
            state = read_state(workspace, corpus)
            if state is not None:
                append(workspace, corpus, state.decision)
        yield


def promote(
    workspace: Workspace,
    candidate: Candidate,
    account: Mapping[str, Any],
    *,
    by: str,
    splits: Path | None = None,
    shared: SharedChampions | None = None,
) -> Champion:
    """Make `candidate` the champion because of the decision `account`; `splits` is its splits.parquet.

    Raises RunError if it cannot be stored, ChampionChangedError if another machine changed the champion of the shared
    store meanwhile; the champion does not change.
    """
    corpus = candidate.corpus
    state = read_state(workspace, corpus)
    number = _next(workspace, corpus, state)
    before = state.champion if state else None
    version = Version(
        version=number,
        corpus=corpus,
        run=candidate.run,
        model=candidate.model,
        path=f"{_relative(workspace, corpus)}/versions/{number:04d}/checkpoint",
        files=dict(candidate.files),
        architecture=candidate.architecture,
        vocabulary=candidate.inputs.get("vocabulary", ""),
        inputs=dict(candidate.inputs),
        action=candidate.action,
        code=dict(candidate.code),
        scores=dict(candidate.scores),
        kept=_now(),
        by=by,
        replaced=before.version if before else None,
        parent=candidate.parent,
    )
    line = _line(corpus, account, by, before, version)
    withdrawn = tuple(model for model in state.withdrawn if model != version.model) if state else ()
    try:
        _keep(workspace, candidate, version, splits)
        if shared is not None:
            shared.versions.push(version)
        last = max(number, state.last if state else 0)
        _switch(workspace, version, before, line, last, withdrawn, shared)
    except (OSError, StoreError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise RunError(
            f"{candidate.run} could not be kept as champion of {corpus}: {reason}; "
            f"{'the champion is still ' + before.run if before else 'there is still no champion'}; its run is "
            f"intact: make room, then type: charpipe models promote {candidate.run}"
        ) from error
    _log(workspace, corpus, line, shared)
    return kept(workspace, version)


def decline(
    workspace: Workspace,
    candidate: Candidate,
    account: Mapping[str, Any],
    *,
    by: str,
    shared: SharedChampions | None = None,
) -> dict[str, Any]:
    """Log that `candidate` was not promoted; returns the line of the audit log."""
    state = read_state(workspace, candidate.corpus)
    before = state.champion if state else None
    line = _line(candidate.corpus, account, by, before, None, candidate)
    _log(workspace, candidate.corpus, line, shared)
    return line


def roll_back(
    workspace: Workspace,
    corpus: str,
    to: int | None = None,
    *,
    by: str = "user",
    shared: SharedChampions | None = None,
) -> Champion:
    """Make the previous champion the champion again, or version `to`.

    The version that is rolled back from stays stored, and is promoted again only by hand. Raises UsageError if there
    is no such version, RunError if its files are missing or altered; the champion does not change.
    """
    try:
        state = read_state(workspace, corpus)
    except RunError:
        if to is None:
            raise
        state = None  # the record is damaged; the stored versions are not
    known = {version.version: version for version in versions(workspace, corpus)}
    target = _target(corpus, state, known, to)
    if shared is not None:
        shared.versions.pull(corpus, target)
    if (wrong := damage(kept(workspace, target))) is not None:
        raise RunError(
            f"version {target.version} of {corpus} is damaged: {wrong}; the champion stays as it is; "
            f"another version may be intact: charpipe models list --corpus {quote(corpus)}"
        )
    before = state.champion if state else None
    reason = f"rolled back from version {before.version}" if before else "the record was damaged"
    line = _line(corpus, {"event": "rollback", "promoted": True, "reason": reason}, by, before, target)
    withdrawn = dict.fromkeys(state.withdrawn if state else ())
    if before is not None and before.version > target.version:
        withdrawn[before.model] = None
    withdrawn.pop(target.model, None)
    last = max([state.last if state else 0, *known])
    older = known.get(target.replaced) if target.replaced is not None else None
    _switch(workspace, target, older, line, last, tuple(withdrawn), shared)
    _log(workspace, corpus, line, shared)
    return kept(workspace, target)


def _target(
    corpus: str, state: ChampionState | None, known: Mapping[int, Version], to: int | None
) -> Version:
    if to is None:
        if state is None:
            raise UsageError(f"{corpus!r} has no champion, so there is nothing to go back from")
        if state.previous is None:
            raise UsageError(
                f"the champion of {corpus} (version {state.champion.version}) is its first; it stays as it is"
            )
        return state.previous
    if to not in known:
        listed = ", ".join(str(number) for number in known) or "none"
        raise UsageError(f"{corpus} has no version {to}; kept: {listed}")
    if state is not None and state.champion.version == to:
        raise UsageError(f"version {to} is the champion of {corpus} already")
    return known[to]


def _keep(workspace: Workspace, candidate: Candidate, version: Version, splits: Path | None) -> None:
    """Copy the checkpoint, so that changes to the run do not affect the champion."""
    shelf = champion_folder(workspace, candidate.corpus) / "versions"
    shelf.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(dir=shelf, prefix=".keeping-"))
    try:
        shutil.copytree(candidate.checkpoint, making / "checkpoint")
        found = {name: digest_of_file(making / "checkpoint" / name) for name in version.files}
        if found != version.files:
            raise StoreError(f"the files of {candidate.checkpoint} changed while they were copied")
        if splits is not None and splits.is_file():
            shutil.copyfile(splits, making / "splits.parquet")
        write_json(making / "version.json", version.model_dump(mode="json"))
        publish_folder(making, shelf / f"{version.version:04d}")
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _switch(
    workspace: Workspace,
    version: Version,
    before: Version | None,
    line: dict[str, Any],
    last: int,
    withdrawn: tuple[str, ...],
    shared: SharedChampions | None,
) -> None:
    """Switch the champion to a version, atomically: in the shared store first, if there is one."""
    state = ChampionState(
        schema=SCHEMA,
        corpus=version.corpus,
        champion=version,
        previous=before,
        since=line["time"],
        by=line["by"],
        decision=line,
        last=last,
        withdrawn=withdrawn,
    )
    if shared is not None:
        shared.switch(state)
    write_json(
        champion_folder(workspace, version.corpus) / "champion.json",
        state.model_dump(mode="json", by_alias=True),
    )


def _log(workspace: Workspace, corpus: str, line: dict[str, Any], shared: SharedChampions | None) -> None:
    append(workspace, corpus, line)
    if shared is not None:
        shared.record(corpus, line)


def _next(workspace: Workspace, corpus: str, state: ChampionState | None) -> int:
    """A version number that was never used, not even by an interrupted promotion."""
    names = (path.name for path in (champion_folder(workspace, corpus) / "versions").glob("[0-9]*"))
    return max([state.last if state else 0, *(int(name) for name in names if name.isdigit())]) + 1


def _line(
    corpus: str,
    account: Mapping[str, Any],
    by: str,
    before: Version | None,
    version: Version | None,
    candidate: Candidate | None = None,
) -> dict[str, Any]:
    about = candidate or version
    champion = {"version": before.version, "run": before.run, "model": before.model} if before else None
    return sealed(
        {
            "time": _now(),
            "corpus": corpus,
            "by": by,
            "event": "decision",
            **account,
            "run": about.run if about else None,
            "model": about.model if about else None,
            "version": version.version if version else None,
            "champion": champion,
            "code": dict(about.code) if about else {},
        }
    )


def _relative(workspace: Workspace, corpus: str) -> str:
    return champion_folder(workspace, corpus).relative_to(workspace.root).as_posix()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
