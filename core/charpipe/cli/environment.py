"""Opening what a command works with: the project file, the plugins beside it, the workspace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import typer

from charpipe.config.files import find_project_file, read_toml
from charpipe.config.load import Resolved, load_config
from charpipe.config.ownership import check_plugin_folder
from charpipe.config.validation import FLAGS
from charpipe.errors import UsageError
from charpipe.events import Event, Notice
from charpipe.plugins.registry import Registry
from charpipe.runs.library import RunLibrary, library_of
from charpipe.tracking.relocation import relocate
from charpipe.workspace import Workspace, find_workspace

_OF_COMMAND: ContextVar[Registry | None] = ContextVar("registry of the command", default=None)


def open_registry() -> Registry:
    """The installed plugins and those that the project file in reach names: while a command runs, those that it was
    found among, if they are of the same folders."""
    folders, known = _plugin_folders(), _OF_COMMAND.get()
    if known is not None and known.folders == tuple(str(folder.absolute()) for folder in folders):
        return known
    return Registry(folders)


@contextmanager
def plugins_of_command(registry: Registry) -> Iterator[None]:
    """Let `open_registry` return these plugins, which are loaded already."""
    token = _OF_COMMAND.set(registry)
    try:
        yield
    finally:
        _OF_COMMAND.reset(token)


def _plugin_folders() -> list[Path]:
    project_file = find_project_file()
    if project_file is None:
        return []
    try:
        paths = read_toml(project_file).get("plugins", {}).get("paths", ["plugins"])
        if isinstance(paths, str):
            raise TypeError("paths is a list")
        folders = [project_file.parent / Path(path).expanduser() for path in paths]
    except (UsageError, AttributeError, TypeError, RuntimeError):
        return []  # what is wrong with the file is said by the command that reads it
    return [check_plugin_folder(folder, project_file.parent) for folder in folders]


def open_workspace() -> Workspace:
    """The workspace of the project in reach. If it was moved, its MLflow follows."""
    workspace = find_workspace(find_project_file())
    if (workspace.root / "mlflow").is_dir():
        relocate(workspace.root / "mlflow")
    return workspace


def open_runs(resolved: Resolved | None = None) -> RunLibrary:
    """The runs of the project in reach, and of the shared store if its file names one."""
    workspace = open_workspace()
    if resolved is None:
        project_file = find_project_file()
        if project_file is None or "store" not in _read_leniently(project_file):
            return RunLibrary(workspace)
        resolved = settings()
    return library_of(workspace, resolved.config.store, open_registry(), print_notice)


def print_notice(event: Event) -> None:
    """Print a notice on stderr; other events are ignored."""
    if isinstance(event, Notice):
        typer.echo(f"charpipe: {event.message}", err=True)


def _read_leniently(project_file: Path) -> Mapping[str, Any]:
    try:
        return read_toml(project_file)
    except UsageError:
        return {}  # a command that needs no settings works without


def settings(overrides: Sequence[str] = (), **flags: Any) -> Resolved:
    """The resolved settings of a command that runs no pipeline."""
    return load_config(settings=chosen(flags), overrides=overrides, flags=FLAGS)


def chosen(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given, by dotted key (`train__steps` is `train.steps`)."""
    return {key.replace("__", "."): value for key, value in flags.items() if value is not None}
