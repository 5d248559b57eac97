"""The pipelines are tested with a Prefect server."""

from prefect_server import _collect, context, server, shared_server

__all__ = ["_collect", "context", "server", "shared_server"]
