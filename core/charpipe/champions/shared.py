"""Champions in the shared store. The store decides, and the workspace's records are a copy of it.

index/champions/<corpus>.json                  that the corpus has a champion: written once
champions/<corpus>/champion.json               the champion; changed by compare-and-swap only
champions/<corpus>/versions/0003-<model>/...   a version's files, version.json last
champions/<corpus>/decisions/<time>-<digest>.json   every decision, promoted or not: written once
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from charpipe.champions.audit import append, decisions
from charpipe.champions.errors import ChampionChangedError
from charpipe.champions.records import damage, kept, versions
from charpipe.champions.state import ChampionState, Version, champion_folder, read_state, read_version
from charpipe.config.identity import file_name
from charpipe.errors import RunError, StoreError, StoreUnreachableError
from charpipe.events import Listener, Notice
from charpipe.store.atomic import publish_folder, write_json
from charpipe.store.backends.backend import Backend
from charpipe.store.leases import hold
from charpipe.store.manifest import NAME as MANIFEST
from charpipe.store.manifest import read_manifest
from charpipe.workspace import Workspace

SPLITS = "splits.parquet"


@dataclass(frozen=True)
class SharedChampions:
    """The shared store's champions, for one workspace. `seconds` is the length of a lease. Raises StoreError."""

    workspace: Workspace
    backend: Backend
    seconds: float
    notify: Listener = lambda event: None

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
                self.settle(corpus)
            except StoreUnreachableError as error:
                raise StoreUnreachableError(
                    f"{error}; nothing was decided, and the champion of {corpus} stays; type the same command again"
                ) from error
            yield

    def settle(self, corpus: str) -> None:
        """Bring the workspace's records of a corpus up to date, with the champion's files; a champion that the store
        has never heard of is published."""
        state = self.pull(corpus)
        if state is None:
            self._publish(corpus)
        else:
            append(self.workspace, corpus, state.decision)
            self.record(corpus, state.decision)
            with suppress(RunError):  # damaged: who needs it is told what to do
                self.pull_version(corpus, state.champion)

    def corpora(self) -> list[str]:
        """The corpora that have a champion in the store."""
        found = []
        for entry in self.backend.list("index/champions/"):
            stored = self.backend.read(entry.key)
            value = _object(stored.data) if stored is not None else {}
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
        if _object(path.read_bytes() if path.is_file() else b"") != value:
            self._tell_of_another(corpus, state)
            write_json(path, value)
        return state

    def pull_version(self, corpus: str, version: Version) -> None:
        """Fetch a version's files, unless they are here. Raises RunError if those in the store are damaged."""
        if damage(kept(self.workspace, version)) is None:
            return
        folder, prefix = self._folder(version), self._prefix(version)
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".pulling-"))
        try:
            for name in (f"checkpoint/{MANIFEST}", *(f"checkpoint/{name}" for name in version.files)):
                self._download(f"{prefix}{name}", making / name)
            manifest = read_manifest(making / "checkpoint")
            for name in manifest.files.keys() - version.files.keys():
                if Path(name).name == name:
                    self._download(f"{prefix}checkpoint/{name}", making / "checkpoint" / name)
            wrong = manifest.check(making / "checkpoint", thorough=True)
            wrong = wrong or damage(
                kept(self.workspace, version.model_copy(update={"path": _inside(self, making)}))
            )
            if wrong is not None:
                raise RunError(
                    f"version {version.version} of {corpus} in {self.backend.url} is damaged: {wrong}; nothing was "
                    f"loaded; another version may be intact: charpipe models list --corpus {corpus}"
                )
            if any(entry.key == f"{prefix}{SPLITS}" for entry in self.backend.list(prefix)):
                self._download(f"{prefix}{SPLITS}", making / SPLITS)
            write_json(making / "version.json", version.model_dump(mode="json"))
            self._put_aside(version)
            publish_folder(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def pull_number(self, folder: str, number: int) -> None:
        """Fetch the files of a version, by the folder's name of its corpus and its number."""
        for entry in self.backend.list(f"champions/{folder}/versions/"):
            if entry.key.endswith("/version.json") and f"/versions/{number:04d}-" in entry.key:
                stored = self.backend.read(entry.key)
                version = _version(self.workspace, stored.data) if stored is not None else None
                if version is not None and file_name(version.corpus) == folder and version.version == number:
                    self.pull_version(version.corpus, version)

    def pull_all(self, corpus: str) -> None:
        """Fetch the descriptions of all versions, for lists; the files of none."""
        for entry in self.backend.list(f"champions/{file_name(corpus)}/versions/"):
            if not entry.key.endswith("/version.json"):
                continue
            stored = self.backend.read(entry.key)
            version = _version(self.workspace, stored.data) if stored is not None else None
            if version is not None and version.corpus == corpus and not self._is_here(version):
                self._put_aside(version)
                write_json(self._folder(version) / "version.json", version.model_dump(mode="json"))

    def push_version(self, version: Version) -> None:
        """Write a version's files to the store, version.json last; it is no champion yet."""
        folder, prefix = self._folder(version), self._prefix(version)
        for path in sorted(folder.rglob("*"), key=lambda path: path.name == "version.json"):
            if path.is_file():
                self.backend.upload(f"{prefix}{path.relative_to(folder).as_posix()}", path)

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
                self.push_version(version)
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
            line = _object(stored.data) if stored is not None else {}
            if isinstance(line.get("digest"), str):
                yield line

    def _tell_of_another(self, corpus: str, state: ChampionState) -> None:
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

    def _put_aside(self, version: Version) -> None:
        """Move another model of the same number, which was champion only here, out of the way; its files stay."""
        folder = self._folder(version)
        if not folder.exists():
            return
        found = read_version(folder)
        if found is not None and found.model != version.model:
            aside = folder.parents[1] / "replaced" / f"{folder.name}-{found.model[:12]}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        else:
            shutil.rmtree(folder)  # the description alone, or damaged files

    def _is_here(self, version: Version) -> bool:
        found = read_version(self._folder(version))
        return found is not None and found.model == version.model

    def _download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.backend.download(key, path)

    def _folder(self, version: Version) -> Path:
        return self.workspace.root / Path(version.path).parent

    def _prefix(self, version: Version) -> str:
        name = f"{version.version:04d}-{file_name(version.model[:12])}"
        return f"champions/{file_name(version.corpus)}/versions/{name}/"

    def _key(self, corpus: str) -> str:
        return f"champions/{file_name(corpus)}/champion.json"


def _inside(shared: SharedChampions, making: Path) -> str:
    return shared.workspace.relative(making / "checkpoint")


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
            "champion": _as_here(workspace, found.champion),
            "previous": _as_here(workspace, previous) if previous is not None else None,
        }
    )


def _version(workspace: Workspace, data: bytes) -> Version | None:
    try:
        return _as_here(workspace, Version.model_validate_json(data))
    except ValidationError:
        return None


def _as_here(workspace: Workspace, version: Version) -> Version:
    """A version whose path is this workspace's own, whatever the record says; only plain file names count."""
    folder = champion_folder(workspace, version.corpus).relative_to(workspace.root).as_posix()
    files = {name: digest for name, digest in version.files.items() if Path(name).name == name}
    path = f"{folder}/versions/{version.version:04d}/checkpoint"
    return version.model_copy(update={"path": path, "files": files})


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _bytes(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).encode()
