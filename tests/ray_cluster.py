"""A Ray cluster on this host: a head without CPUs, and nodes that tests may kill."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from waiting import until

RAY = Path(sys.executable).with_name("ray")
MARKS = [
    pytest.mark.e2e,
    pytest.mark.cluster,
    pytest.mark.skipif(not RAY.is_file(), reason="Ray is not installed: pip install 'charpipe[cluster]'"),
    # Prefect's, FastAPI's, websockets' and Ray's own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
"""The marks of a module whose tests use a cluster."""
TRIES = 10
"""How often a node is started: it gives up after 30 seconds, which are few on a busy machine."""


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class RayCluster:
    """A head and two nodes with a CPU each; `stop` ends all of them. `homes` are the nodes' workspaces, as if they were
    machines of their own. `port` is the head's, to start a cluster where a lost one was."""

    def __init__(
        self, homes: Sequence[Path | None] = (None, None), head_cpus: int = 0, port: int | None = None
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ray"))  # a socket's path is short
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.nodes: list[psutil.Process] = []
        """The nodes that run, without the head."""
        self.head = self._start(
            "--head",
            f"--port={self.port}",
            f"--num-cpus={head_cpus}",
            f"--temp-dir={self._folder}",
            "--include-dashboard=false",
        )
        for home in homes:
            self.add_node(home)

    def add_node(self, home: Path | None = None) -> None:
        """Start a node with one CPU."""
        variables = {} if home is None else {"CHARPIPE_HOME": str(home)}
        self.nodes.append(self._start(f"--address={self.address}", "--num-cpus=1", **variables))

    def kill(self, node: psutil.Process) -> None:
        """Kill a node with everything that runs on it, as when its machine loses power."""
        with suppress(psutil.NoSuchProcess):
            for process in [node, *node.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            node.wait()
        self.nodes = [other for other in self.nodes if other != node]

    def stop(self) -> None:
        """Kill everything, and remove the files."""
        for process in (*self.nodes, self.head):
            self.kill(process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, *arguments: str, **variables: str) -> psutil.Process:
        """Start a process of the cluster, and wait until it says that it has started."""
        for _ in range(TRIES):
            process = self._try(arguments, variables)
            log = Path(self._folder / f"start-{process.pid}.log")
            until(lambda: process.poll() is not None or _has_started(log), log.read_text)  # noqa: B023
            if process.poll() is None:
                return psutil.Process(process.pid)
        raise AssertionError(log.read_text(errors="replace"))

    def _try(self, arguments: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        environ = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"} | variables
        options = ("--object-store-memory=100000000", "--disable-usage-stats", "--block")
        with (self._folder / "start.log").open("wb") as log:
            process = subprocess.Popen(
                [str(RAY), "start", "--node-ip-address=127.0.0.1", *options, *arguments],
                stdout=log,
                stderr=log,
                env=environ,
                start_new_session=True,
            )
        (self._folder / "start.log").rename(self._folder / f"start-{process.pid}.log")
        return process


@contextmanager
def ray_cluster(homes: Sequence[Path | None] = (None, None)) -> Iterator[RayCluster]:
    """A cluster, which this process leaves at the end of the block."""
    made = RayCluster(homes)
    try:
        yield made
    finally:
        import ray

        ray.shutdown()
        made.stop()


def _has_started(log: Path) -> bool:
    return "Ray runtime started" in log.read_text(errors="replace")
