"""The process of a managed server: binds loopback, serves one ASGI application, exits when idle.

    python -m charpipe.servers.serve MODULE:FUNCTION FOLDER --port 0 --idle 900

The port is bound before the application is created, so no other process can take it in between.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from charpipe.plugin import resolve
from charpipe.servers.managed import ARGUMENTS, IDLE_SECONDS, PORT, STATE

HOST = "127.0.0.1"
WATCH_SECONDS = 2.0
GRACE_SECONDS = 4
UNCOUNTED = "x-charpipe-check"
"""Requests with this header come from the server's own process and do not count as activity."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class IdleWatch:
    """ASGI middleware that measures how long the application has been idle."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.open = 0
        self.last = time.monotonic()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.application(scope, receive, send)
        if any(name == UNCOUNTED.encode() for name, _ in scope.get("headers", ())):
            return await self.application(scope, receive, send)
        self.open += 1
        try:
            await self.application(scope, receive, send)
        finally:
            self.open -= 1
            self.last = time.monotonic()

    def idle_seconds(self) -> float:
        """Seconds since the last request ended; 0 while a request or WebSocket is open."""
        return 0.0 if self.open else time.monotonic() - self.last


def bind(preferred: int) -> socket.socket:
    """A listening socket on loopback, at the preferred port if it is free, else at any free port."""
    for port in (preferred, 0):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            listener.close()
            continue
        listener.listen(128)
        return listener
    raise OSError(f"no port is free on {HOST}")


def serve(reference: str, folder: Path, port: int, idle: float, arguments: dict[str, str]) -> None:
    """Serve until stopped, until idle for `idle` seconds, or until the state in `folder` names another process."""
    import uvicorn

    listener = bind(port)
    port = int(listener.getsockname()[1])
    url = f"http://{HOST}:{port}"
    watch = IdleWatch(resolve(reference)(url, **arguments))
    config = uvicorn.Config(
        watch, lifespan="on", log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS
    )
    server = uvicorn.Server(config)

    async def main() -> None:
        keeper = asyncio.create_task(_keep(server, watch, folder / STATE, {"port": port, "url": url}, idle))
        await server.serve(sockets=[listener])
        keeper.cancel()

    asyncio.run(main())


async def _keep(server: Any, watch: IdleWatch, state: Path, facts: dict[str, Any], idle: float) -> None:
    while not server.started:
        await asyncio.sleep(0.02)
    temporary = state.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"pid": os.getpid(), **facts}), encoding="utf-8")
    temporary.replace(state)
    state.with_name(PORT).write_text(str(facts["port"]), encoding="utf-8")
    watch.last = time.monotonic()
    while not server.should_exit and watch.idle_seconds() < idle and _names_us(state):
        await asyncio.sleep(min(WATCH_SECONDS, idle / 4))
    if _names_us(state):
        state.unlink(missing_ok=True)
    server.should_exit = True
    # background services may hang at shutdown, and none of them needs to finish
    overdue = threading.Timer(2 * GRACE_SECONDS, os._exit, (0,))
    overdue.daemon = True
    overdue.start()


def _names_us(state: Path) -> bool:
    try:
        return bool(json.loads(state.read_text(encoding="utf-8"))["pid"] == os.getpid())
    except (OSError, ValueError, KeyError):
        return False


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="charpipe.servers.serve")
    parser.add_argument("application")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS)
    options = parser.parse_args()
    arguments = json.loads(os.environ.pop(ARGUMENTS, "{}"))
    serve(options.application, options.folder, options.port, options.idle, arguments)
    sys.stdout.flush()
    os._exit(0)  # a library's remaining threads must not keep an idle server alive


if __name__ == "__main__":
    main()
