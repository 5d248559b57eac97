"""Writes Prefect's log to a file of the workspace, not to the terminal."""

from __future__ import annotations

import logging
import os

from charpipe_pipelines.server import LOG_FILE

FORMAT = "%(asctime)s %(levelname)s %(process)d %(name)s - %(message)s"


def log_file() -> logging.Handler:
    """The handler that `logging.yml` names: it writes to the file named in the environment, or nowhere."""
    path = os.environ.get(LOG_FILE)
    if not path:
        return logging.NullHandler()
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter(FORMAT))
    return handler
