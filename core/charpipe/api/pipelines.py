"""Run a pipeline for a Python call: in this process, without Prefect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charpipe.config import load_config
from charpipe.config.load import Resolved
from charpipe.config.plugin_folders import open_plugins
from charpipe.config.validation import validate
from charpipe.events import Listener
from charpipe.runs.library import RunLibrary, library_of
from charpipe.stages import Context
from charpipe.stages.context import ignore
from charpipe.stages.recipes import load, run_directly
from charpipe.tracking.relocation import relocate
from charpipe.workspace import find_workspace

WHERE = ("runner", "workers")
"""Options of a pipeline that say which processes train. A Python call takes them from its arguments alone."""
Names = str | Sequence[str]
"""One name or several."""


def run_pipeline(
    name: str,
    values: Mapping[str, Any],
    preset: str | None,
    settings: Mapping[str, Any] | None,
    listen: Listener,
    *,
    tags: Names = (),
    force: Names = (),
) -> tuple[Context, Any]:
    """Run the pipeline `name` in this process; returns its context and its result.

    Options whose value is None are those of `[pipelines.NAME]` in the project file, else the pipeline's defaults.
    `tags` and `force` are the command line's `--tag` and `--force`.
    """
    tagged = {"tracking.tags": _several(tags)} if tags else {}
    resolved = load_config(pipeline=name, preset=preset, settings={**(settings or {}), **tagged})
    registry = open_plugins(resolved)
    pipeline = registry.pipeline(name)
    given = {key: value for key, value in values.items() if value is not None}
    known = {key: value for key, value in resolved.options.items() if key not in WHERE}
    options = validate(pipeline.options, {**known, **given}, f"pipelines.{name}", resolved.origins)
    load(pipeline)  # its stages are known from here on
    workspace = find_workspace(resolved.project_file)
    context = Context(workspace, resolved, registry, emit=listen, force=frozenset(_several(force)))
    return context, run_directly(pipeline, options, context)


def _several(names: Names) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def open_runs(resolved: Resolved, notify: Listener = ignore) -> RunLibrary:
    """The runs of the current project, and of the shared store if its settings name one."""
    workspace = find_workspace(resolved.project_file)
    relocate(workspace.root / "mlflow")
    return library_of(workspace, resolved.config.store, open_plugins(resolved), notify)
