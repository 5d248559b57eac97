from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from charpipe.errors import CharpipeError
from charpipe.servers.managed import PORT, STATE, ManagedServer
from charpipe.servers.serve import IdleWatch, bind
from waiting import until

APPLICATION = """
import sys
def make(url, word="ok"):
    if word == "broken":
        raise RuntimeError("no such database")
    if word == "hangs":
        import time; time.sleep(3600)
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": word.encode()})
    return application
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ManagedServer]:
    (tmp_path / "tiny_application.py").write_text(APPLICATION)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    made = ManagedServer("tiny", tmp_path / "zum Ändern", "tiny_application:make", "/", tmp_path / "tiny.log")
    yield made
    made.stop()


def with_word(server: ManagedServer, word: str) -> ManagedServer:
    return ManagedServer(
        "tiny", server.folder, server.application, "/", server.log, {"word": word}, idle=server.idle
    )


def pid_of(server: ManagedServer) -> int:
    return int(json.loads((server.folder / STATE).read_text())["pid"])


def wait_until_gone(pid: int) -> None:
    """Wait until a process has ended; somebody may still have to collect it."""

    def gone() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    until(gone, lambda: f"process {pid} still runs")


def test_one_server_serves_all_who_ask_at_once(server: ManagedServer) -> None:
    assert server.running() is None
    with ThreadPoolExecutor(4) as pool:
        urls = set(pool.map(lambda _: server.start(), range(4)))
    assert len(urls) == 1
    assert server.running() in urls


def test_other_users_do_not_see_its_arguments(server: ManagedServer) -> None:
    told = with_word(server, "geheim")
    with urllib.request.urlopen(told.start()) as response:
        assert response.read() == b"geheim"
    assert "geheim" not in " ".join(psutil.Process(pid_of(told)).cmdline())


def test_it_listens_on_loopback_only(server: ManagedServer) -> None:
    server.start()
    addresses = {c.laddr.ip for c in psutil.Process(pid_of(server)).net_connections() if c.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}


def test_stop_ends_it_and_the_next_start_keeps_its_address(server: ManagedServer) -> None:
    url = server.start()
    pid = pid_of(server)
    assert server.stop()
    wait_until_gone(pid)
    assert not server.stop()
    assert server.start() == url


def test_a_port_that_was_taken_meanwhile_is_left_to_its_owner(server: ManagedServer) -> None:
    server.start()
    server.stop()
    port = int((server.folder / PORT).read_text())
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        assert server.start() != f"http://127.0.0.1:{port}"


def test_a_killed_server_is_started_again(server: ManagedServer) -> None:
    server.start()
    pid = pid_of(server)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone(pid)
    assert server.running() is None
    assert server.start()
    assert pid_of(server) != pid


def test_a_stale_file_that_names_a_stranger_harms_nobody(server: ManagedServer) -> None:
    server.folder.mkdir()
    (server.folder / STATE).write_text(
        json.dumps({"pid": os.getpid(), "port": 1, "url": "http://127.0.0.1:1"})
    )
    assert not server.stop()  # and this process is still here to say so


def test_it_stops_by_itself_when_nobody_asks(server: ManagedServer) -> None:
    idle = ManagedServer("tiny", server.folder, server.application, "/", server.log, idle=0.4)
    idle.start()
    wait_until_gone(pid_of(idle))
    assert not (server.folder / STATE).exists()


def test_it_stops_when_its_workspace_is_gone(server: ManagedServer) -> None:
    server.start()
    pid = pid_of(server)
    (server.folder / STATE).unlink()
    wait_until_gone(pid)


def test_one_that_cannot_start_says_where_its_log_is(server: ManagedServer) -> None:
    with pytest.raises(CharpipeError, match=r"ended while it was starting.*tiny\.log"):
        with_word(server, "broken").start()
    assert "no such database" in server.log.read_text()


def test_one_that_is_too_slow_is_stopped(server: ManagedServer) -> None:
    with pytest.raises(CharpipeError, match="did not answer within 1 s"):
        with_word(server, "hangs").start(timeout=1.0)


def test_variables_that_are_not_meant_for_it_are_kept_from_it(
    server: ManagedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_SETTING", "the user's own")
    kept = ManagedServer("tiny", server.folder, server.application, "/", server.log, unset=("TINY_",))
    kept.start()
    if sys.platform == "linux":
        assert "TINY_SETTING" not in psutil.Process(pid_of(kept)).environ()


def test_an_open_request_is_not_idleness() -> None:
    async def application(scope: object, receive: object, send: object) -> None: ...

    watch = IdleWatch(application)
    watch.last -= 100
    assert watch.idle_seconds() >= 100
    watch.open = 1
    assert watch.idle_seconds() == 0


def test_bind_prefers_the_port_it_is_given() -> None:
    with bind(0) as first:
        port = first.getsockname()[1]
        with bind(port) as second:
            assert second.getsockname()[1] != port
    with bind(port) as again:
        assert again.getsockname()[1] == port


def alias(server: ManagedServer, folder: Path) -> ManagedServer:
    """The same server, whose folder is reached by another path."""
    return ManagedServer("tiny", folder, server.application, "/", server.log)


def test_folder_reached_by_another_path_has_the_same_server(server: ManagedServer, tmp_path: Path) -> None:
    url = server.start()
    pid = pid_of(server)
    (tmp_path / "link").symlink_to(server.folder)
    (tmp_path / "beside").mkdir()
    for folder in (tmp_path / "link", tmp_path / "beside" / ".." / server.folder.name):
        assert alias(server, folder).running() == url
        assert alias(server, folder).start() == url
    assert pid_of(server) == pid
    assert alias(server, tmp_path / "link").stop()
    wait_until_gone(pid)


def test_moved_folder_gets_a_server_that_knows_its_place(server: ManagedServer, tmp_path: Path) -> None:
    server.start()
    pid = pid_of(server)
    server.folder.rename(tmp_path / "moved")
    moved = alias(server, tmp_path / "moved")
    try:
        assert moved.running() is None
        moved.start()
        wait_until_gone(pid)
        assert not server.folder.exists()
    finally:
        moved.stop()


def test_server_of_a_copied_folder_is_left_alone(server: ManagedServer, tmp_path: Path) -> None:
    url = server.start()
    shutil.copytree(server.folder, tmp_path / "copy")
    copy = alias(server, tmp_path / "copy")
    assert not copy.stop()
    shutil.copy(server.folder / STATE, tmp_path / "copy" / STATE)
    try:
        assert copy.start() != url
        assert server.running() == url
    finally:
        copy.stop()
    assert server.running() == url
