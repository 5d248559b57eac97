"""Decode artifact paths exactly.

MLflow decodes a file's URI as UTF-8 text, so that a folder whose name is not UTF-8 becomes another one, and decodes
some plain paths a second time, so that `50%25` becomes `50%`. If the artifacts' URI contains a percent sign, MLflow
gets a decoder that does neither.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import unquote_to_bytes, urlsplit

NAME = "local_file_uri_to_path"


def path_of(uri: str) -> str:
    """The path of a file URI, byte by byte; anything else is returned as a path."""
    if not uri.startswith("file:"):
        return uri
    return os.fsdecode(unquote_to_bytes(urlsplit(uri).path))


def decode_exactly(artifacts: str | None) -> None:
    """Make MLflow use `path_of` in this process if the artifacts' URI needs it."""
    if "%" not in (artifacts or "") or not str(artifacts).startswith("file:"):
        return
    from mlflow.store.artifact import local_artifact_repo  # noqa: F401  imports the function by name
    from mlflow.utils import file_utils

    theirs = getattr(file_utils, NAME, None)
    if theirs is None or theirs is path_of:  # another MLflow version may have none
        return
    for name, module in list(sys.modules.items()):
        if name.startswith("mlflow") and getattr(module, "__dict__", {}).get(NAME) is theirs:
            setattr(module, NAME, path_of)
