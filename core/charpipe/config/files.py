"""Find and read project files: the built-in catalogue, and the user's pipelines.toml that overrides it."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from charpipe.config.ownership import check_project_file
from charpipe.errors import UsageError
from charpipe.store.paths import printable

NAME = "pipelines.toml"
VARIABLE = "CHARPIPE_PROJECT"
"""The environment variable with the project's folder, for processes that are not started there: a pool's workers."""
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""Matches the start of a source that is not a path."""


def default_catalogue() -> Path:
    """The built-in pipelines.toml: in the installed package, or at the root of the checkout."""
    package = Path(__file__).parents[1]
    installed = package / NAME
    return installed if installed.is_file() else package.parent.parent / NAME


def find_project_file(start: Path | None = None) -> Path | None:
    """The pipelines.toml in `$CHARPIPE_PROJECT`; without it, the nearest from `start` (the working directory) upwards.

    Raises OwnershipError if it belongs to another user, UsageError if `$CHARPIPE_PROJECT` has none.
    """
    if start is None and (named := os.environ.get(VARIABLE)):
        folder = Path(os.path.realpath(os.path.expanduser(named)))  # noqa: PTH111  an unknown user stays as written
        if not (folder / NAME).is_file():
            raise UsageError(
                f"{VARIABLE} is {named}, where there is no {NAME}; set it to the project's folder"
            )
        return check_project_file(folder / NAME)
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / NAME).is_file():
            return check_project_file(folder / NAME)
    return None


def absolute_sources(tables: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`tables` with relative paths in the corpora's sources resolved against `folder`, the project file's folder."""
    corpora = tables.get("corpora")
    for corpus in corpora.values() if isinstance(corpora, dict) else ():
        sources = corpus.get("sources") if isinstance(corpus, dict) else None
        if isinstance(sources, list):
            corpus["sources"] = [_absolute(source, folder) for source in sources]
    return tables


def _absolute(source: Any, folder: Path) -> Any:
    if not isinstance(source, str) or SCHEME.match(source):
        return source
    whole = folder / os.path.expanduser(source)  # noqa: PTH111  an unknown user stays as written
    return printable(str(whole))  # settings are sent to Prefect, which accepts UTF-8 only


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises UsageError naming the file and the line."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
