"""The nodes of a Ray cluster: whether trainings fit on them, and whether they see what a trial needs."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from charpipe.config.settings.cluster import ClusterConfig
from charpipe.errors import CharpipeError, UsageError
from charpipe.stages import Context

ANSWER_SECONDS = 120.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Node:
    """A node that is alive: its id and address, its CPUs and GPUs."""

    id: str
    address: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Seen:
    """What a node says of itself: its host, its version of charpipe, and whether it sees the workspace."""

    host: str
    version: str
    sees_workspace: bool


def living_nodes() -> list[Node]:
    """The nodes of the cluster that this process is connected to."""
    import ray

    return [
        Node(
            node["NodeID"],
            node["NodeManagerAddress"],
            node["Resources"].get("CPU", 0.0),
            node["Resources"].get("GPU", 0.0),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]


def room(nodes: list[Node], config: ClusterConfig) -> int:
    """How many trainings fit on the nodes at once."""
    return sum(_fitting(node, config) for node in nodes)


def check_nodes(context: Context) -> None:
    """Raise if no node has room for a training, or one of those that have cannot work for this workspace."""
    config, nodes = context.config.cluster, living_nodes()
    working = [node for node in nodes if _fitting(node, config)]
    if not working:
        most = max((node.cpus for node in nodes), default=0)
        gpus = max((node.gpus for node in nodes), default=0)
        raise UsageError(
            f"no node of the Ray cluster has room for a training: cluster.cpus_per_training is "
            f"{config.cpus_per_training} and gpus_per_training {config.gpus_per_training:g}, and the largest has "
            f"{most:g} CPUs and {gpus:g} GPUs"
        )
    with marked(context.workspace.root) as mark:
        for node, seen in ask(working, look, str(mark)):
            _check_node(context, node, Seen(**seen))


def _check_node(context: Context, node: Node, seen: Seen) -> None:
    here = version("charpipe")
    if seen.version != here:
        found = f"charpipe {seen.version}" if seen.version else "no charpipe"
        raise CharpipeError(
            f"the Ray node {seen.host} ({node.address}) has {found}, and this machine charpipe {here}; "
            "install the same version on both"
        )
    if not seen.sees_workspace and context.config.store.url is None:
        raise UsageError(
            f"the Ray node {seen.host} ({node.address}) does not see the workspace {context.workspace.root}: set "
            "[store] url to a store that all machines share, or keep the workspace in a folder that all of them mount "
            "at the same path, and name that in CHARPIPE_HOME"
        )
    if seen.host != socket.gethostname() and _is_loopback(context):
        raise UsageError(
            f"the Ray node {seen.host} ({node.address}) is another machine and cannot reach this workspace's Prefect "
            "server: set [prefect] api_url to a server that all machines reach"
        )


def _is_loopback(context: Context) -> bool:
    url = context.config.prefect.api_url or os.environ.get("PREFECT_API_URL")
    return url is None or urlsplit(url).hostname in LOOPBACK


def _fitting(node: Node, config: ClusterConfig) -> int:
    by_cpus = int(node.cpus // config.cpus_per_training)
    if not config.gpus_per_training:
        return by_cpus
    return min(by_cpus, int(node.gpus / config.gpus_per_training + 1e-9))


@contextmanager
def marked(root: Path) -> Iterator[Path]:
    """A file of the workspace that only a process that sees this very workspace can find."""
    mark = root / "cluster" / uuid.uuid4().hex
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        yield mark
    finally:
        mark.unlink(missing_ok=True)


def ask(
    nodes: list[Node], function: Callable[..., dict[str, Any]], *arguments: Any
) -> list[tuple[Node, dict[str, Any]]]:
    """What `function(*arguments)` returns on each node, without those that are lost meanwhile: Ray lists a node for
    some seconds after it died. Raises CharpipeError if one does not work, or all are lost."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = [
        ray.remote(function)
        .options(
            num_cpus=0, max_retries=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)
        )
        .remote(*arguments)
        for node in nodes
    ]
    found = []
    for node, answer in zip(nodes, asked, strict=True):
        try:
            found.append((node, ray.get(answer, timeout=ANSWER_SECONDS)))
        except Exception as error:
            if node.id not in {other.id for other in living_nodes()}:
                continue
            reason = " ".join(str(error).split())[:200]
            missing = "charpipe" in reason and "No module named" in reason
            raise CharpipeError(
                f"the Ray node {node.address} has no charpipe; install the same version there: pip install "
                "'charpipe[cluster]'"
                if missing
                else f"the Ray node {node.address} does not work ({reason}); nothing was started"
            ) from error
    if not found:
        raise CharpipeError("all nodes of the Ray cluster were lost; nothing was started")
    return found


def look(mark: str) -> dict[str, Any]:
    """What the node that runs this says of itself, as the fields of `Seen`."""
    try:
        installed = version("charpipe")
    except PackageNotFoundError:
        installed = ""
    return {"host": socket.gethostname(), "version": installed, "sees_workspace": Path(mark).is_file()}
