"""The main job with a server that wants a password: the password is found nowhere in what was written."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from charpipe.workspace import Workspace

pytestmark = pytest.mark.e2e
USER, PASSWORD = "anna", "g'heim/w0rt%1"
TEXT = b"the quick brown fox jumps over the lazy dog\n" * 200


class PasswordHandler(BaseHTTPRequestHandler):
    """Serves one text to whoever knows the password."""

    def do_GET(self) -> None:
        known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        good = self.headers.get("Authorization") == f"Basic {known}"
        body = TEXT if good else b"who are you?"
        self.send_response(200 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), PasswordHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def charpipe(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "charpipe", *words]
    environ = {**os.environ, "HOME": str(Path.cwd()), **variables}
    return subprocess.run(command, env=environ, capture_output=True, text=True)


def train(url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    small = ("--steps", "2", "--set", "architectures.lstm.hidden_size=16", "--set", "sample.length=20")
    return charpipe("run", "train-and-sample", "--corpus", url, *small, **variables)


def holders(folder: Path) -> list[Path]:
    """The files, SQLite's write-ahead logs among them, that hold the password in one form or another."""
    forms = (
        PASSWORD,
        quote(PASSWORD),
        quote(PASSWORD, safe=""),
        base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
    )
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10 or not (folder / ".charpipe" / "runs").exists()
    return [path for path in files if any(form.encode() in path.read_bytes() for form in forms)]


def test_password_is_found_nowhere_in_what_was_written(
    project: Path, address: str, copy_prefect: Callable[[Workspace], None]
) -> None:
    copy_prefect(Workspace(project / ".charpipe"))
    netrc = project.parent / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    netrc.chmod(0o600)
    try:
        outputs = []
        for secret in (
            f"http://{USER}:{quote(PASSWORD, safe='')}@{address}/a.txt",
            f"http://{USER}:{PASSWORD}@{address}/a.txt",
        ):
            refused = train(secret, NETRC=str(netrc))
            assert refused.returncode == 2
            assert "netrc" in refused.stderr
            outputs.append(refused)
        unknown = train(f"http://{address}/a.txt")
        assert unknown.returncode == 1
        assert "401" in unknown.stderr
        assert "netrc" in unknown.stderr
        outputs.append(unknown)
        done = train(f"http://{address}/a.txt", NETRC=str(netrc))
        assert done.returncode == 0, done.stderr
        outputs.append(done)
        for one in outputs:
            for form in (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe="")):
                assert form not in one.stdout + one.stderr
        assert holders(project) == []
    finally:
        charpipe("down")
