"""The script that keeps MLflow's assistant closed goes into its page, and nothing else is touched."""

from __future__ import annotations

import asyncio

from charpipe.tracking.unasked import SCRIPT, without_assistant

PAGE = b"<html><head><title>MLflow</title></head></html>"


def ask(path: str, kind: bytes, body: bytes) -> tuple[dict[bytes, bytes], bytes, dict]:
    sent, seen = [], {}

    async def application(scope, receive, send):
        seen.update(scope)
        headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"etag", b"x")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body[:10], "more_body": True})
        await send({"type": "http.response.body", "body": body[10:]})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"accept-encoding", b"gzip"), (b"accept", b"*/*")]}
    asyncio.run(without_assistant(application)(scope, None, send))
    whole = b"".join(message.get("body", b"") for message in sent[1:])
    return dict(sent[0]["headers"]), whole, seen


def test_the_page_gets_the_script_and_its_new_length():
    headers, body, seen = ask("/", b"text/html; charset=utf-8", PAGE)
    assert body == PAGE.replace(b"<head>", b"<head>" + SCRIPT)
    assert headers[b"content-length"] == str(len(body)).encode()
    assert b"etag" not in headers
    assert (b"accept-encoding", b"gzip") not in seen["headers"]


def test_everything_else_passes_as_it_is():
    for path, kind in (("/static/page.html", b"text/html"), ("/", b"application/json")):
        headers, body, _ = ask(path, kind, PAGE)
        assert body == PAGE
        assert headers[b"etag"] == b"x"
