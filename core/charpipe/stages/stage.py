"""Stages, the context they share, and the executor that runs them.

A stage is a typed function with a decorator:

    @stage("ingest", "Fetch the source and read it into documents.", forcible=True)
    def ingest(context: Context, corpus: str) -> StageOutput: ...

A call of it goes to the context's executor, which runs it in this process, as a Prefect task, or in another way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from charpipe.config import Config, Resolved, resolve_corpus
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.errors import InterruptedRun, UsageError, near_match
from charpipe.events import Event, Listener, Notice, StageProgress
from charpipe.parallel import ParallelMap, local_processes
from charpipe.plugins.registry import Registry
from charpipe.runs import Run
from charpipe.runs.library import RunLibrary, open_library
from charpipe.stages.pool import run_at_once
from charpipe.stages.publication import Publishing
from charpipe.stages.sharing import ContextListener, Sharing
from charpipe.stages.stop import Stop
from charpipe.store import Store
from charpipe.training.group import ALONE, Group
from charpipe.workspace import Workspace

if TYPE_CHECKING:
    from charpipe.champions.shared import SharedChampions
    from charpipe.store.backends import Backend

P = ParamSpec("P")
R = TypeVar("R")


def ignore(event: Event) -> None:
    """A listener that does nothing."""


Arguments = tuple[Any, ...]
Launch = Callable[["Stage[..., Any]", "Context", Arguments], Any]
"""Makes one call of a stage."""


def _here(stage: Stage[..., Any], context: Context, arguments: Arguments) -> Any:
    return stage.carry_out(context, *arguments)


@dataclass(frozen=True)
class Parallel:
    """How the calls of one `Executor.map` run: `at_once` at a time, on the engine `runner` ("local" is this machine).

    `launch` makes one call on this machine; unset: in this process. `watch(launch, stage, context, arguments)` makes a
    call by any launch, and may change its context.
    """

    at_once: int = 1
    launch: Launch | None = None
    runner: str = "local"
    watch: Callable[[Launch, Stage[..., Any], Context, Arguments], Any] | None = None

    def call(
        self, stage: Stage[..., Any], context: Context, arguments: Arguments, launch: Launch | None = None
    ) -> Any:
        """Make one call, by `launch` if the executor has its own."""
        launch = launch or self.launch or _here
        if self.watch is None:
            return launch(stage, context, arguments)
        return self.watch(launch, stage, context, arguments)


class Executor(Protocol):
    """Runs stages."""

    def run(self, stage: Stage[P, R], context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the stage; returns what it returns and raises what it raises."""
        ...

    def map(
        self, stage: Stage[..., R], context: Context, calls: Iterable[Arguments], parallel: Parallel
    ) -> Iterator[tuple[Arguments, R]]:
        """Call the stage with each of these arguments, several at a time; see `charpipe.stages.pool.run_at_once`."""
        ...


class Direct:
    """Runs stages in this process."""

    def run(self, stage: Stage[P, R], context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        return stage.carry_out(context, *args, **kwargs)

    def map(
        self, stage: Stage[..., R], context: Context, calls: Iterable[Arguments], parallel: Parallel
    ) -> Iterator[tuple[Arguments, R]]:
        if parallel.runner != "local":
            raise UsageError(
                f"--runner {parallel.runner} works only in a Prefect flow, as `charpipe run` starts one where Prefect "
                "answers: in Python and without it use --runner local"
            )

        stop = context.stop.own()
        context = replace(context, stop=stop)

        def call(arguments: Arguments) -> R:
            found: R = parallel.call(stage, context, arguments)
            return found

        return run_at_once(call, calls, parallel.at_once, stop.end)


DIRECT = Direct()


@dataclass(frozen=True)
class Context:
    """What the stages of one command share.

    `force` names stages to run again; `resume` is a run whose recorded inputs are used; with `dry_run` the first
    stage with work to do raises `WouldRun`.
    """

    workspace: Workspace
    resolved: Resolved
    registry: Registry
    emit: Listener = ignore
    stop: Stop = field(default_factory=Stop)
    force: frozenset[str] = frozenset()
    resume: Run | None = None
    dry_run: bool = False
    executor: Executor = DIRECT
    parallel_map: OpenMap = local_processes
    publishing: Publishing = field(default_factory=Publishing)
    sharing: Sharing = field(default_factory=Sharing)
    group: Group = ALONE
    """The workers that train together; this process is their rank 0."""
    flow_run: Mapping[str, Any] = field(default_factory=dict)
    """The Prefect flow run of this command, as stored with its runs; empty without Prefect."""
    corpora: Mapping[str, tuple[str, CorpusConfig]] = field(default_factory=dict)
    """Corpora as the command that started this process has resolved them, by what was typed."""

    def __post_init__(self) -> None:
        known = [name for name, stage in registered().items() if stage.forcible]
        for name in self.force:
            if name not in known:
                raise UsageError(f"there is no stage {name!r} to force{near_match(name, known)}")

    @property
    def config(self) -> Config:
        return self.resolved.config

    @property
    def store(self) -> Store:
        """The local store, and behind it the shared one, if `[store]` names one."""
        root, backend = self.workspace.store, self.shared
        if backend is None:
            return Store(root)
        listener = ContextListener(self.notice, self._transferred)
        return Store(root, self.sharing.store(backend, self.config.store.lease_seconds, root, listener))

    @property
    def shared(self) -> Backend | None:
        """The backend of the shared store; None if `[store]` names none."""
        return self.sharing.backend(self.config.store, self.registry)

    @property
    def runs(self) -> RunLibrary:
        """The runs of the workspace and of the shared store."""
        waiting = functools.partial(self.check_stop, "train")
        return open_library(self.workspace, self.store.shared, self.emit, waiting)

    @property
    def champions(self) -> SharedChampions | None:
        """The champions of the shared store; None if `[store]` names none."""
        return self.runs.champions

    def _transferred(self, stage: str, done: int, total: int) -> None:
        self.check_stop(stage)
        self.emit(StageProgress(stage, done, total))

    def resuming(self, run: Run | None) -> Context:
        """The same context, resuming `run`."""
        return replace(self, resume=run)

    def with_executor(self, executor: Executor) -> Context:
        """The same context, with stages run by `executor`."""
        return replace(self, executor=executor)

    def corpus(self, wanted: str) -> tuple[str, CorpusConfig]:
        """The name and settings of a corpus; see `charpipe.config.resolve_corpus`."""
        known = self.corpora.get(wanted)
        return known or resolve_corpus(self.config, wanted, self.workspace.root, self.resolved.project_file)

    def path(self, made: Located) -> Path:
        """Where the files of a stage's result are."""
        return self.workspace.root / made.path

    def check_stop(self, stage: str) -> None:
        """Raise InterruptedRun if a stop was requested; for stages that save nothing before they end."""
        if self.stop.event.is_set():
            raise InterruptedRun(
                f"stopped while it worked on {stage}; the stages before it are kept; type the same command again",
                self.stop.signal,
            )

    def notice(self, message: str, level: str = "info") -> None:
        """Send the listener a notice for the user."""
        self.emit(Notice(message, level))


class OpenMap(Protocol):
    """Opens a map over parts of a corpus."""

    def __call__(
        self, processes: int, *, reads: Path | None = None, one_file: bool = False
    ) -> AbstractContextManager[ParallelMap]:
        """A map for that many processes.

        `reads`: a folder that its calls read and that may be outside the workspace. `one_file`: whether several calls
        write to one file, or to one that another has mapped, as processes of one machine can.
        """
        ...


class Located(Protocol):
    """Something in the workspace, with its path relative to the workspace's root."""

    @property
    def path(self) -> str: ...


@dataclass(frozen=True)
class Retry:
    """Which errors are retried, and the delay in seconds before each retry."""

    on: Callable[[BaseException], bool]
    seconds: tuple[int, ...]


class Remote(Protocol):
    """How a call of a stage is made in another process: `python -m MODULE` reads `request` from its standard input."""

    module: str

    def request(self, context: Context, *args: Any) -> dict[str, Any]:
        """The call as JSON."""
        ...

    def result(self, value: Mapping[str, Any]) -> Any:
        """What the call returns, from JSON."""
        ...

    def is_done(self, result: Any) -> bool:
        """Whether a dry run's result is that of finished work."""
        ...

    def failed(self, reason: str, run: str, *args: Any) -> Any:
        """The result of a call whose process died for this reason; `run` is the run that it had begun, or empty."""
        ...


class Stage(Generic[P, R]):
    """A registered stage. Calling it passes the call to the context's executor; `body` is the plain function."""

    def __init__(
        self,
        body: Callable[Concatenate[Context, P], R],
        name: str,
        summary: str,
        *,
        forcible: bool = False,
        retry: Retry | None = None,
        label: Callable[..., str] | None = None,
        remote: Remote | None = None,
    ) -> None:
        self.remote = remote
        self.body, self.name, self.summary = body, name, summary
        self.forcible, self.retry = forcible, retry
        self._label = label
        functools.update_wrapper(self, body)

    def __call__(self, context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        return context.executor.run(self, context, *args, **kwargs)

    def map(
        self, context: Context, calls: Iterable[Arguments], parallel: Parallel
    ) -> Iterator[tuple[Arguments, R]]:
        """Yield each of `calls`, the arguments of one call, with its result, in order of completion."""
        return context.executor.map(self, context, calls, parallel)

    def carry_out(self, context: Context, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the body, in this thread; stages that it calls are part of it."""
        if context.executor is not DIRECT:
            context = replace(context, executor=DIRECT)
        return self.body(context, *args, **kwargs)

    def label(self, *args: Any, **kwargs: Any) -> str:
        """The name of one call of the stage: the stage's name, or a label made from the arguments."""
        return self.name if self._label is None else self._label(*args, **kwargs)


_STAGES: dict[str, Stage[..., Any]] = {}


def stage(
    name: str,
    summary: str,
    *,
    forcible: bool = False,
    retry: Retry | None = None,
    label: Callable[..., str] | None = None,
    remote: Remote | None = None,
) -> Callable[[Callable[Concatenate[Context, P], R]], Stage[P, R]]:
    """Register a function as the stage `name`; `summary` describes it in a sentence.

    `forcible`: whether `--force` accepts it. `retry`: which errors are retried, by executors that support it.
    `label`: names a call by its arguments, where a pipeline calls the stage several times. `remote`: how a call is made
    in another process, where it can be.
    """

    def register(body: Callable[Concatenate[Context, P], R]) -> Stage[P, R]:
        other = _STAGES.get(name)
        if other is not None and other.body.__module__ != body.__module__:
            raise ValueError(
                f"two stages are named {name!r}: in {other.body.__module__} and {body.__module__}"
            )
        made = Stage(body, name, summary, forcible=forcible, retry=retry, label=label, remote=remote)
        _STAGES[name] = made
        return made

    return register


def registered() -> Mapping[str, Stage[..., Any]]:
    """The stages of all imported modules, by name."""
    return dict(_STAGES)
