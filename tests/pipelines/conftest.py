"""The pipelines are tested with a Prefect server."""

from prefect_server import _collect, server, session, shared_server

__all__ = ["_collect", "server", "session", "shared_server"]
