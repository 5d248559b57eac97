"""Paths of artifacts, exactly as they are.

MLflow decodes a file's URI as UTF-8 text, so that a folder whose name is not UTF-8 becomes another one, and decodes
some plain paths a second time, so that `50%25` becomes `50%`. Where the artifacts' URI holds a percent sign, MLflow
gets a decoder that does neither.
"""

from __future__ import annotations

import os
import sys
from urllib.parse import unquote_to_bytes, urlsplit

NAME = "local_file_uri_to_path"


def path_of(uri: str) -> str:
    """The path that a file's URI means, byte by byte; what is no such URI is a path already."""
    if not uri.startswith("file:"):
        return uri
    return os.fsdecode(unquote_to_bytes(urlsplit(uri).path))


def decode_exactly(artifacts: str | None) -> None:
    """Make MLflow, in this process, use `path_of`, if the URI of the artifacts needs it."""
    if "%" not in (artifacts or "") or not str(artifacts).startswith("file:"):
        return
    from mlflow.store.artifact import local_artifact_repo  # noqa: F401  imports the function by name
    from mlflow.utils import file_utils

    theirs = getattr(file_utils, NAME, None)
    if theirs is None or theirs is path_of:  # another MLflow may have none
        return
    for name, module in list(sys.modules.items()):
        if name.startswith("mlflow") and getattr(module, "__dict__", {}).get(NAME) is theirs:
            setattr(module, NAME, path_of)
