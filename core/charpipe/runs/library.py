"""The runs that a command can name: those of this workspace, and those of the shared store where there is one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from charpipe.champions.records import corpora, named
from charpipe.champions.references import ChampionReference, parse_reference
from charpipe.config.files import find_project_file
from charpipe.config.identity import spoken
from charpipe.config.settings.store import StoreConfig
from charpipe.errors import RunError, UsageError
from charpipe.events import Listener, Notice
from charpipe.plugins.registry import Registry
from charpipe.runs.annotations import Annotations, write_annotations
from charpipe.runs.find import Use, find_run, fits, given_name, list_runs, readable_runs
from charpipe.runs.folder import Run
from charpipe.runs.shared_record import SharedRecord, read_record
from charpipe.runs.titles import short_name
from charpipe.store import Store
from charpipe.workspace import Workspace

if TYPE_CHECKING:
    from charpipe.champions.records import Champion
    from charpipe.champions.shared import SharedChampions
    from charpipe.runs.mirror.shared_runs import SharedRuns
    from charpipe.runs.mirror.uploader import Uploader
    from charpipe.store.shared import SharedStore

_MLFLOW_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class RunLibrary:
    """The runs of `workspace`, and of `shared`. A run of the shared store gets a folder here when it is named; its
    checkpoints are fetched when they are needed."""

    workspace: Workspace
    shared: SharedRuns | None = None
    champions: SharedChampions | None = None

    def find(self, wanted: str, use: Use = "any", checkpoint: str | None = None) -> Run:
        """The run that `wanted` names, see `find_run`, with its "best" or "last" `checkpoint` if one is asked for."""
        if self.shared is not None:
            self.champion(wanted)
            self.shared.refresh(self._candidates(self.shared, wanted, use))
        try:
            run = find_run(self.workspace.runs, wanted, use)
        except UsageError as error:
            if self.shared is None or parse_reference(wanted) is not None:
                raise
            raise UsageError(f"{error} (nor in {self.shared.url})") from error
        if checkpoint is not None:
            self.pull(run, checkpoint)
        return run

    def champion(self, wanted: str) -> Champion | None:
        """The model that `champion:CORPUS` or `previous:CORPUS` names, see `named`; None for any other name."""
        reference = parse_reference(wanted)
        if reference is not None and self.champions is not None and self.shared is not None:
            self._pull_champion(self.champions, self.shared, reference)
        return named(self.workspace, wanted)

    def champion_of(self, corpus: str) -> None:
        """Bring the champion of a corpus up to date, with its files."""
        if self.champions is not None and self.shared is not None:
            champions = self.champions

            def fetch() -> None:
                if (state := champions.pull(corpus)) is not None:
                    champions.versions.pull(corpus, state.champion)

            self.shared.guarded(fetch, None)

    def refresh_champions(self, wanted: str | None = None) -> None:
        """Bring the records of all champions, or of one corpus, up to date, without the models."""
        if self.champions is not None and self.shared is not None:
            champions = self.champions

            def refresh() -> None:
                for corpus in champions.corpora():
                    if wanted is None or corpus == wanted:
                        champions.pull(corpus)
                        champions.versions.pull_descriptions(corpus)

            self.shared.guarded(refresh, None)

    def all(self) -> list[Run]:
        """All runs, oldest first."""
        if self.shared is not None:
            self.shared.refresh_all()
        return list_runs(self.workspace.runs)

    def trained_here(self) -> list[Run]:
        """The runs whose folders are not copies of the shared store's, oldest first."""
        records = ((run, read_record(run.folder)) for run in list_runs(self.workspace.runs))
        return [run for run, record in records if record is None or record.mine]

    def record(self, run: Run) -> SharedRecord | None:
        """How a run's folder relates to the shared store; None if it does not."""
        return None if self.shared is None else read_record(run.folder, self.shared.url)

    def push(self, runs: Iterable[Run]) -> Iterator[str]:
        """Push what the shared store lacks of these runs, and of the champions; yields a line for each.

        Raises StoreError.
        """
        if self.shared is None or self.champions is None:
            return
        self.shared.check()
        for run in runs:
            record = self.record(run)
            if (record is not None and not record.mine) or run.is_locked():
                continue
            if self.shared.push(run):
                yield f"{run.name}  in {self.shared.url}"
        for corpus in corpora(self.workspace):
            with self.champions.deciding(corpus):
                yield f"champion:{corpus}  in {self.shared.url}"

    def of_action(self, action: str) -> list[Run]:
        """The runs of an action, oldest first."""
        if self.shared is not None:
            self.shared.refresh(self.shared.of_action(action))
        return [run for run in readable_runs(self.workspace.runs) if run.info.action == action]

    def of_corpus(self, corpus: str, pipeline: str) -> list[Run]:
        """The runs of a corpus that a pipeline trained, oldest first."""
        if self.shared is not None:
            entries = self.shared.index().items()
            of_it = (
                entry.get("corpus") == corpus and entry.get("pipeline") == pipeline for _, entry in entries
            )
            self.shared.refresh(name for (name, _), fits_it in zip(entries, of_it, strict=True) if fits_it)
        return [
            run
            for run in readable_runs(self.workspace.runs)
            if run.info.corpus == corpus and run.info.request.get("pipeline") == pipeline
        ]

    def refresh(self, run: Run) -> None:
        """Bring a run's folder up to date, without its checkpoints."""
        if self.shared is not None:
            self.shared.refresh([run.name])

    def training(self, run: Run) -> AbstractContextManager[Uploader | None]:
        """Own a run while it is trained here; the listener that pushes it, None without a shared store.

        See `charpipe.runs.mirror.ownership.Owner.training`.
        """
        return nullcontext() if self.shared is None else self.shared.training(run)

    def annotate(self, run: Run, annotations: Annotations) -> None:
        """Replace the name, note and tags of a run, here and in the shared store. Raises UsageError for a name that
        another run answers to."""
        if annotations.name is not None and annotations.name != given_name(run):
            self._check_name(run, annotations.name)
        write_annotations(run.folder, annotations)
        if self.shared is not None:
            self.shared.push_annotations(run)

    def _check_name(self, run: Run, name: str) -> None:
        if name == "last" or _MLFLOW_ID.fullmatch(name):
            raise UsageError(f"{name!r} means something else already; choose another name")
        for other in self.all():
            called = (other.name, short_name(other.name), given_name(other))
            if other.name == run.name:
                continue
            if name in called:
                raise UsageError(f"{name!r} is what {other.name} is called already; choose another name")
            if other.name.startswith(name):
                raise UsageError(f"{name!r} is a prefix that finds {other.name}; choose another name")

    def pull(self, run: Run, which: str) -> None:
        """Fetch the "best" or "last" checkpoint of a run, if only the shared store has it."""
        if self.shared is not None:
            self.shared.pull(run, which)

    def obtain(self, digest: str) -> Path:
        """The path of an object of the store, such as a run's tokens; fetched if only the shared store has it."""
        store = None if self.shared is None else self.shared.store
        return Store(self.workspace.store, store).obtain(digest)

    def pull_path(self, path: str) -> None:
        """Fetch the checkpoint that `path`, relative to the workspace, names: of a run or of a champion's version."""
        if self.shared is None or self.champions is None:
            return
        shared, champions, parts = self.shared, self.champions, PurePosixPath(path).parts
        if parts[:1] == ("runs",) and len(parts) == 4:
            step = parts[3].rpartition("-")[2]
            shared.refresh([parts[1]])
            shared.guarded(lambda: shared.pull_step(parts[1], int(step)), None)
        elif parts[:1] == ("champions",) and len(parts) == 5:
            shared.guarded(lambda: champions.versions.pull_number(parts[1], int(parts[3])), None)

    def is_taken(self, name: str) -> bool:
        """Whether a run has this name."""
        here = (self.workspace.runs / name).exists()
        return here or (self.shared is not None and self.shared.is_taken(name))

    def _pull_champion(
        self, champions: SharedChampions, shared: SharedRuns, reference: ChampionReference
    ) -> None:
        """Fetch the champion that a reference names, and the description of its run."""

        def fetch() -> None:
            known = champions.corpora()
            corpus = spoken(reference.corpus, known, self.workspace.root, find_project_file())
            state = champions.pull(corpus) if corpus in known else None
            version = state and (state.champion if reference.alias == "champion" else state.previous)
            if version:
                champions.versions.pull(corpus, version)
                shared.refresh([version.run])

        shared.guarded(fetch, None)

    def _candidates(self, shared: SharedRuns, wanted: str, use: Use) -> Iterable[str]:
        """The names of the shared runs that may be the one, as far as it must be known."""
        names = shared.names()
        if wanted == "last":
            return self._newest(shared, names, use)
        if wanted.startswith("best:"):
            return self._of_corpus(shared, wanted.removeprefix("best:"))
        if parse_reference(wanted) is not None:
            return []  # `champion` has fetched it
        if wanted in names:
            return [wanted]
        if _MLFLOW_ID.fullmatch(wanted):
            return names
        short = wanted.split()[-1] if "·" in wanted else wanted
        found = [name for name in names if wanted and (name.startswith(wanted) or short_name(name) == short)]
        return found or names  # one of them may have been renamed on another machine

    def _newest(self, shared: SharedRuns, names: list[str], use: Use) -> Iterable[str]:
        """Refresh the shared runs, newest first, up to the first that fits; names sort by time."""
        for name in reversed(names):
            shared.refresh([name])
            run = Run(self.workspace.runs / name)
            try:
                if run.info and fits(run, use):
                    break
            except RunError:
                continue
        return []

    def _of_corpus(self, shared: SharedRuns, corpus: str) -> list[str]:
        entries = shared.index()
        known = [str(entry["corpus"]) for entry in entries.values() if "corpus" in entry]
        known += [run.info.corpus for run in readable_runs(self.workspace.runs)]
        meant = spoken(corpus, known, self.workspace.root, find_project_file())
        return [name for name, entry in entries.items() if entry.get("corpus") == meant]


def open_library(
    workspace: Workspace,
    store: SharedStore | None,
    notify: Listener,
    while_waiting: Callable[[], None] = lambda: None,
) -> RunLibrary:
    """The runs of a workspace, and those of the shared store. Without one, nothing more is imported."""
    if store is None:
        return RunLibrary(workspace)
    from charpipe.champions.shared import SharedChampions
    from charpipe.runs.mirror.shared_runs import SharedRuns

    connection = store.connection
    return RunLibrary(
        workspace,
        SharedRuns(workspace, store, notify, while_waiting),
        SharedChampions(workspace, connection.backend, connection.lease_seconds, notify),
    )


def library_of(workspace: Workspace, config: StoreConfig, registry: Registry, notify: Listener) -> RunLibrary:
    """The runs of a workspace, and of the shared store that `[store]` names; for what runs without a context."""
    if config.url is None:
        return RunLibrary(workspace)
    from charpipe.store.shared import Connection, SharedStore

    connection = Connection(registry.open_store(config), config.lease_seconds)
    return open_library(workspace, SharedStore(connection, workspace.store, _Listener(notify)), notify)


@dataclass(frozen=True)
class _Listener:
    """Passes on the notices of the shared store, without its progress."""

    listener: Listener

    def notice(self, message: str, level: str = "info") -> None:
        self.listener(Notice(message, level))

    def progress(self, stage: str, done: int, total: int) -> None:
        return
