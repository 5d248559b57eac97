"""The pipeline of 2015 is tested with a Prefect server, too."""

from prefect_server import _collect, context, server, shared_server

__all__ = ["_collect", "context", "server", "shared_server"]
