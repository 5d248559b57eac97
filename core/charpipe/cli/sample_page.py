"""`charpipe sample --web`: the page, until Ctrl-C."""

from __future__ import annotations

from typing import Any

import typer


def write_on_page(playground: Any, port: int | None) -> None:
    """Serve the page and print its address. Raises KeyboardInterrupt on Ctrl-C, when the server is closed."""
    from charpipe.playground import open_server

    server = open_server(playground, port)
    try:
        typer.echo(f"{playground.run} writes at {server.url} (Ctrl-C ends it)")
        server.serve_forever(poll_interval=0.2)
    finally:
        server.server_close()
