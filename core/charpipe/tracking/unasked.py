"""MLflow's page opens a pane that offers an assistant on the first visit: here it stays closed until somebody opens it.

The page remembers in the browser that it did so once. The page that our server serves says so from the start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

SCRIPT = b"""<script>try { for (const version of ["", "_v0", "_v1"]) {
const key = "mlflow.assistant.fab.autoOpenedOnFirstLoad" + version;
if (localStorage.getItem(key) === null) localStorage.setItem(key, "true"); } } catch {}</script>"""
Messages = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


def without_assistant(application: Any) -> Any:
    """The ASGI application with that script before all others in its one page; everything else passes as it is."""

    async def serve(scope: dict[str, Any], receive: Messages, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in ("/", "/index.html"):
            await application(scope, receive, send)
            return
        page = _Page(send)
        await application(_whole(scope), receive, page)

    return serve


def _whole(scope: dict[str, Any]) -> dict[str, Any]:
    """The request, asking for the page as it is: not packed, and not only where it changed."""
    left_out = (b"accept-encoding", b"if-none-match", b"if-modified-since", b"range")
    return {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() not in left_out]}


class _Page:
    """Sends on a response; into an HTML page it puts the script, and says its new length."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: dict[str, Any] | None = None
        self._body = b""

    async def __call__(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and _is_html(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        elif message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._finish(self._start)

    async def _finish(self, start: dict[str, Any]) -> None:
        body = self._body.replace(b"<head>", b"<head>" + SCRIPT, 1)
        headers = [pair for pair in start["headers"] if pair[0].lower() not in (b"content-length", b"etag")]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _is_html(message: dict[str, Any]) -> bool:
    return any(
        name.lower() == b"content-type" and b"text/html" in value for name, value in message["headers"]
    )
