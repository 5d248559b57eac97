"""The page's web server on loopback.

It answers no other site's page: the Host header must name this server (against DNS rebinding), and a request that
writes must come from its own page (Origin, Sec-Fetch-Site) as JSON.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from charpipe.errors import CharpipeError, UsageError
from charpipe.playground.answers import Playground

HOST = "127.0.0.1"
MAX_BODY = 1 << 20
"""Bytes of a request."""
MAX_TEXTS = 4
"""Texts written at the same time."""
FRAME = 0.02
"""Seconds between two pieces of an answer that streams."""
TIMEOUT = 30
"""Seconds without a byte after which a connection is closed."""
LINGER = 2.0
"""Seconds that a browser has to send the rest of a request that was answered before it was read."""
CLOSING = 5.0
"""Seconds that a connection has to end when the server is closed."""
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PlaygroundServer(ThreadingHTTPServer):
    """Serves one playground until it is shut down."""

    daemon_threads = True

    def __init__(self, playground: Playground, port: int) -> None:
        self._connections: dict[threading.Thread, Any] = {}  # first: a port in use closes the server
        super().__init__((HOST, port), Handler)
        self.playground = playground
        self.texts = threading.BoundedSemaphore(MAX_TEXTS)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"

    @property
    def hosts(self) -> frozenset[str]:
        """The names under which a browser may ask for it."""
        names = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}
        return frozenset(names | ({HOST, "localhost"} if self.server_port == 80 else set()))

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, in a thread of its own."""
        self._connections[threading.current_thread()] = request
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._connections[threading.current_thread()]

    def server_close(self) -> None:
        """Close the server with its connections. Their threads end first: one that is still at work when Python ends
        may abort the process."""
        super().server_close()
        connections = dict(self._connections)
        for request in connections.values():
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)
        for thread in connections:
            thread.join(CLOSING)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection once the browser has closed its side: with bytes unread it would be reset, and the answer
        lost."""
        ends = time.monotonic() + LINGER
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            while (left := ends - time.monotonic()) > 0:
                request.settimeout(left)
                if not request.recv(1 << 16):
                    break
        self.close_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves is no error; anything else is, and its traceback is printed."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def open_server(playground: Playground, port: int | None = None) -> PlaygroundServer:
    """A server on this port, or on a free one. Raises UsageError where the port cannot be had."""
    try:
        return PlaygroundServer(playground, port or 0)
    except OSError as error:
        raise UsageError(
            f"port {port} cannot be used: {error.strerror}; give another --port, or leave it out for a free one"
        ) from error


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: PlaygroundServer
    timeout = TIMEOUT
    server_version, sys_version = "charpipe", ""

    def do_GET(self) -> None:
        """The page."""
        if not self._is_for_us():
            return
        if self.path != "/":
            self._error(404, "there is only one page here: /")
            return
        self._send(200, "text/html; charset=utf-8", self.server.playground.page().encode())

    def do_POST(self) -> None:
        """A text, as lines of JSON while it is written, or the next character."""
        paths: dict[str, Callable[[Any], None]] = {"/write": self._write, "/next": self._next}
        if not self._is_for_us() or not self._is_from_our_page():
            return
        if self.path not in paths:
            self._error(404, "there are only /write and /next here")
            return
        values = self._body()
        if values is None:
            return
        try:
            paths[self.path](values)
        except CharpipeError as error:
            self._error(400, str(error))

    def log_message(self, *_: Any) -> None:
        """Requests are not logged."""

    def _write(self, values: Any) -> None:
        if not self.server.texts.acquire(blocking=False):
            self._error(503, f"{MAX_TEXTS} texts are being written already; stop one of them")
            return
        try:
            answers = self.server.playground.write(values)
            self._head(200, "application/x-ndjson")
            self._stream(answers)
        finally:
            self.server.texts.release()

    def _stream(self, answers: Iterator[dict[str, Any]]) -> None:
        """Write the answers, several at once where they come quickly. A browser that left ends it."""
        waiting, sent = list[str](), 0.0
        try:
            for answer in answers:
                waiting.append(_json(answer))
                if time.monotonic() - sent > FRAME:
                    self._lines(waiting)
                    sent = time.monotonic()
        except CharpipeError as error:
            waiting.append(_json({"error": str(error)}))
        self._lines(waiting)

    def _lines(self, waiting: list[str]) -> None:
        self.wfile.write("".join(f"{line}\n" for line in waiting).encode())
        self.wfile.flush()
        waiting.clear()

    def _next(self, values: Any) -> None:
        answer = self.server.playground.next(values)
        self._send(200, "application/json", _json(answer).encode())

    def _is_for_us(self) -> bool:
        if self.headers.get("Host", "").lower() in self.server.hosts:
            return True
        self._error(403, "this server answers only under its own address")
        return False

    def _is_from_our_page(self) -> bool:
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site", "same-origin")
        own = origin is None or origin in {f"http://{host}" for host in self.server.hosts}
        if own and site == "same-origin":
            return True
        self._error(403, "this server answers only its own page")
        return False

    def _body(self) -> Any:
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
        length = self.headers.get("Content-Length", "")
        if kind != "application/json":
            self._error(415, "a request is application/json")
        elif not length.isascii() or not length.isdigit():
            self._error(411, "a request has a Content-Length")
        elif int(length) > MAX_BODY:
            self._error(413, f"a request has at most {MAX_BODY:,} bytes")
        else:
            try:
                values = json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError):
                values = None
            if isinstance(values, dict):
                return values
            self._error(400, "the request is not a JSON object")
        return None

    def _error(self, status: int, sentence: str) -> None:
        self._send(status, "application/json", _json({"error": sentence}).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self._head(status, kind, len(body))
        self.wfile.write(body)

    def _head(self, status: int, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
