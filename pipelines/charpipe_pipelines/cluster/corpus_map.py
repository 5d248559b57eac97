"""Parts of a corpus on the nodes of a Ray cluster: the calls that worker processes of one machine make else.

The parts are files of the workspace, which the nodes read and write where they are. So the calls go to the cluster only
if every node sees the workspace; nothing is sent from node to node.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from charpipe.corpus.detection import DETECTOR
from charpipe.parallel import ParallelMap, local_processes
from charpipe.parallel.mapping import Function, in_order
from charpipe.parallel.messages import error_message, exception, function_named, name_of
from charpipe.plugins.registry import Registry
from charpipe.stages import Context
from charpipe.stages.context import OpenMap
from charpipe_pipelines.cluster.connection import connect, head
from charpipe_pipelines.cluster.loss import HeadWatch, cluster_lost
from charpipe_pipelines.cluster.nodes import Node, ask, living_nodes, marked

RETRIES = 3
"""How often Ray makes a call again whose node was lost. Each writes files of its own."""
WAIT_SECONDS = 0.2
ENDING_SECONDS = 60.0
"""How long a call that has begun may take to end when nobody waits for it any more. A part is a few seconds' work."""


def on_cluster(context: Context) -> OpenMap:
    """What opens maps over parts of a corpus on the cluster of the settings, in place of processes of this machine.

    They stay on this machine where one process is enough, and, with a notice, where the nodes do not see the files or
    would read a text in another way.
    """
    told: set[str] = set()

    @contextmanager
    def opened(processes: int, *, reads: Path | None = None) -> Iterator[ParallelMap]:
        alone = processes == 1
        nodes = [] if alone else _nodes(context)
        refusal = None if alone else _refusal(context, nodes, reads)
        if refusal is not None and refusal not in told:
            told.add(refusal)
            context.notice(refusal)
        if alone or refusal is not None:
            with local_processes(processes) as here:
                yield here
            return
        at_once = max(processes, int(sum(node.cpus for node in nodes)))
        with marked(context.workspace.root) as mark, RayMap(at_once, mark) as calls:
            yield calls

    return opened


def _nodes(context: Context) -> list[Node]:
    """The nodes of the cluster that can make a call."""
    connect(context.config.cluster)
    return [node for node in living_nodes() if node.cpus >= 1]


class RayMap:
    """A map whose calls are Ray tasks with a CPU each. They begin while the file `mark` exists, which every node sees.

    The `with` block ends what is still at work: it removes the mark, and waits for the calls that have begun. None is
    cancelled: where a call completes while it is being cancelled, Ray 2.60 aborts this process (a failed check in its
    task_manager.cc: "Tried to complete task that was not pending").
    """

    shares_files = False

    def __init__(self, processes: int, mark: Path) -> None:
        import ray

        self.processes, self._mark = processes, mark
        self._call = ray.remote(call).options(num_cpus=1, max_retries=RETRIES, scheduling_strategy="SPREAD")
        self._watch = HeadWatch(head())
        self._begun: list[deque[Any]] = []
        """The calls of each `map` whose results nobody has taken."""

    def __enter__(self) -> RayMap:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        self._mark.unlink(missing_ok=True)
        left = [task for pending in self._begun for task in pending]
        with suppress(Exception):  # the cluster may be lost
            ray.wait(left, num_returns=len(left), timeout=ENDING_SECONDS)

    def map(
        self,
        function: Function,
        arguments: Iterable[Mapping[str, Any]],
        waiting: Callable[[], None] = lambda: None,
        ahead: int = 0,
    ) -> Iterator[Any]:
        """See `ParallelMap.map`. Raises ClusterLostError if the cluster is lost."""
        import ray

        name, pending = name_of(function), deque[Any]()
        self._begun.append(pending)
        calls = (self._call.remote(name, dict(each), str(self._mark)) for each in arguments)

        def is_done(task: Any) -> bool:
            return bool(ray.wait([task], timeout=0)[0])

        most = 2 * self.processes + ahead
        yield from in_order(calls, pending, is_done, lambda task: self._result(task, waiting), most, waiting)

    def _result(self, task: Any, waiting: Callable[[], None]) -> Any:
        import ray

        try:
            while not ray.wait([task], timeout=WAIT_SECONDS)[0]:
                waiting()
                self._watch.check()
            message = ray.get(task)
        except ray.exceptions.RayError as error:
            raise cluster_lost(error) from error
        if "error" in message:
            raise exception(message)
        return message["result"]


def call(function: str, arguments: dict[str, Any], mark: str) -> dict[str, Any]:
    """Call a function on this node, if the file `mark` still exists; returns its result, or the exception as JSON."""
    if not Path(mark).exists():
        return {"result": None}  # nobody waits for it
    try:
        return {"result": function_named(function)(**arguments)}
    except Exception as error:
        return error_message(error)


def _refusal(context: Context, nodes: list[Node], reads: Path | None) -> str | None:
    """What to say if the nodes cannot do it, or None."""
    here, alone = _readers(context.registry), "so this machine alone does it"
    if not nodes:
        return f"no node of the Ray cluster has a CPU to read the corpus with, {alone}"
    with marked(context.workspace.root) as mark:
        for node, seen in ask(nodes, look, str(mark), context.registry.folders):
            if not seen["sees"]:
                where = f"the workspace {context.workspace.root}"
                return f"the Ray node {node.address} does not see {where} and cannot read the corpus there, {alone}"
            if seen["readers"] != here:
                return (
                    f"the Ray node {node.address} would decode or encode the corpus in another way, {alone}"
                )
    if reads is not None and not reads.resolve().is_relative_to(context.workspace.root.resolve()):
        return f"the Ray nodes do not read {reads}, which is outside the workspace, {alone}"
    return None


def look(mark: str, plugins: tuple[str, ...]) -> dict[str, Any]:
    """Whether this node sees the file `mark`, and with what it would read a text."""
    return {
        "sees": Path(mark).is_file(),
        "readers": _readers(Registry([Path(folder) for folder in plugins if Path(folder).is_dir()])),
    }


def _readers(registry: Registry) -> dict[str, str]:
    """The version of the detector of encodings, and the digests of the tokenizers' code."""
    names = registry.all("tokenizer")
    return {"detector": str(DETECTOR)} | {
        name: registry.find("tokenizer", name).provider.digest() for name in names
    }
