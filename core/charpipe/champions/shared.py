"""Champions in the shared store. The store decides, and the workspace's records are a copy of it.

index/champions/<corpus>.json                  that the corpus has a champion: written once
champions/<corpus>/champion.json               the champion; changed by compare-and-swap only
champions/<corpus>/versions/...                the versions; see `charpipe.champions.shared_versions`
champions/<corpus>/decisions/<time>-<digest>.json   every decision, promoted or not: written once
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from charpipe.champions.audit import append, decisions
from charpipe.champions.errors import ChampionChangedError
from charpipe.champions.records import damage, kept, versions
from charpipe.champions.shared_versions import SharedVersions, as_here
from charpipe.champions.state import ChampionState, champion_folder, read_state
from charpipe.config.identity import file_name
from charpipe.errors import RunError, StoreError, StoreUnreachableError
from charpipe.events import Listener, Notice
from charpipe.store.atomic import write_json
from charpipe.store.backends.backend import Backend
from charpipe.store.json_objects import parse_object
from charpipe.store.leases import hold
from charpipe.workspace import Workspace


@dataclass(frozen=True)
class SharedChampions:
    """The shared store's champions, for one workspace. `seconds` is the length of a lease. Raises StoreError."""

    workspace: Workspace
    backend: Backend
    seconds: float
    notify: Listener = lambda event: None

    @property
    def versions(self) -> SharedVersions:
        """The versions, of which one is the champion."""
        return SharedVersions(self.workspace, self.backend)

    @contextmanager
    def deciding(
        self,
        corpus: str,
        on_wait: Callable[[str], None] = lambda holder: None,
        while_waiting: Callable[[], None] = lambda: None,
    ) -> Iterator[None]:
        """Hold the lease for decisions about a corpus; the workspace's records are those of the store then."""
        with ExitStack() as stack:
            name = f"champions/{file_name(corpus)}"
            try:
                stack.enter_context(
                    hold(
                        self.backend,
                        name,
                        self.seconds,
                        on_wait=lambda holder: on_wait(str(holder)),
                        while_waiting=while_waiting,
                    )
                )
                self.synchronize(corpus)
            except StoreUnreachableError as error:
                raise StoreUnreachableError(
                    f"{error}; nothing was decided, and the champion of {corpus} stays; type the same command again"
                ) from error
            yield

    def synchronize(self, corpus: str) -> None:
        """Bring the workspace's records of a corpus up to date, with the champion's files; a champion that the store
        has never heard of is published."""
        state = self.pull(corpus)
        if state is None:
            self._publish(corpus)
        else:
            append(self.workspace, corpus, state.decision)
            self.record(corpus, state.decision)
            with suppress(RunError):  # damaged: who needs it is told what to do
                self.versions.pull(corpus, state.champion)

    def corpora(self) -> list[str]:
        """The corpora that have a champion in the store."""
        found = []
        for entry in self.backend.list("index/champions/"):
            stored = self.backend.read(entry.key)
            value = parse_object(stored.data) if stored is not None else {}
            if isinstance(value.get("corpus"), str):
                found.append(value["corpus"])
        return sorted(found)

    def pull(self, corpus: str) -> ChampionState | None:
        """Copy the store's record and its decisions into the workspace, without the models; None if it has none."""
        state = self._state(corpus)
        if state is None:
            return None
        known = {line.get("digest") for line in decisions(self.workspace, corpus)}
        for line in self._decisions(corpus, known):
            append(self.workspace, corpus, line)
        path = champion_folder(self.workspace, corpus) / "champion.json"
        value = state.model_dump(mode="json", by_alias=True)
        if parse_object(path.read_bytes() if path.is_file() else b"") != value:
            self._warn_of_another(corpus, state)
            write_json(path, value)
        return state

    def switch(self, state: ChampionState) -> None:
        """Make `state` the store's, if the workspace's copy is what the store has: by compare-and-swap.

        Raises ChampionChangedError if another machine was faster.
        """
        key, data = self._key(state.corpus), _bytes(state.model_dump(mode="json", by_alias=True))
        stored = self.backend.read(key)
        before = read_state(self.workspace, state.corpus)
        there = _state(self.workspace, stored.data, state.corpus, key) if stored is not None else None
        if (there.decision if there else None) != (before.decision if before and there else None):
            done = None
        elif stored is None:
            done = self.backend.create(key, data)
        else:
            done = self.backend.replace(key, data, stored.version)
        if done is None:
            raise ChampionChangedError(
                f"another machine changed the champion of {state.corpus} meanwhile; nothing was changed; type the "
                "same command again"
            )
        entry = _bytes({"corpus": state.corpus})
        self.backend.create(f"index/champions/{file_name(state.corpus)}.json", entry)

    def record(self, corpus: str, line: dict[str, Any]) -> None:
        """Add a line to the store's decisions, once."""
        time = str(line.get("time", "")).replace(":", "").replace("+", "")
        key = f"champions/{file_name(corpus)}/decisions/{file_name(time)}-{str(line['digest'])[:16]}.json"
        self.backend.create(key, _bytes(line))

    def _publish(self, corpus: str) -> None:
        """Publish a champion that was made here before the workspace had a shared store."""
        state = read_state(self.workspace, corpus)
        if state is None:
            return
        for version in versions(self.workspace, corpus):
            if damage(kept(self.workspace, version)) is None:
                self.versions.push(version)
        for line in decisions(self.workspace, corpus):
            self.record(corpus, line)
        self.switch(state)

    def _state(self, corpus: str) -> ChampionState | None:
        key = self._key(corpus)
        stored = self.backend.read(key)
        return None if stored is None else _state(self.workspace, stored.data, corpus, key)

    def _decisions(self, corpus: str, known: set[Any]) -> Iterator[dict[str, Any]]:
        """The store's decisions that are not known here, oldest first."""
        short = {str(digest)[:16] for digest in known}
        for entry in self.backend.list(f"champions/{file_name(corpus)}/decisions/"):
            if entry.key.removesuffix(".json").rpartition("-")[2] in short:
                continue
            stored = self.backend.read(entry.key)
            line = parse_object(stored.data) if stored is not None else {}
            if isinstance(line.get("digest"), str):
                yield line

    def _warn_of_another(self, corpus: str, state: ChampionState) -> None:
        try:
            here = read_state(self.workspace, corpus)
        except RunError:
            return
        lines = {line.get("digest") for line in decisions(self.workspace, corpus)}
        theirs = {entry.key for entry in self.backend.list(f"champions/{file_name(corpus)}/decisions/")}
        digest = str(here.decision.get("digest")) if here is not None else ""
        if here is not None and digest in lines and not any(digest[:16] in key for key in theirs):
            self.notify(
                Notice(
                    f"the champion of {corpus} was version {here.champion.version} ({here.champion.run}) here; the "
                    f"shared store's is version {state.champion.version} ({state.champion.run}), and that counts",
                    "warning",
                )
            )

    def _key(self, corpus: str) -> str:
        return f"champions/{file_name(corpus)}/champion.json"


def _state(workspace: Workspace, data: bytes, corpus: str, key: str) -> ChampionState:
    try:
        found = ChampionState.model_validate_json(data)
    except ValidationError as error:
        raise StoreError(f"{key} in the shared store is damaged ({error.errors()[0]['msg']})") from error
    if found.corpus != corpus:
        raise StoreError(f"{key} in the shared store is of the corpus {found.corpus!r}")
    previous = found.previous
    return found.model_copy(
        update={
            "champion": as_here(workspace, found.champion),
            "previous": as_here(workspace, previous) if previous is not None else None,
        }
    )


def _bytes(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode()
