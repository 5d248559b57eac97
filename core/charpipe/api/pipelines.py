"""Run a pipeline for a Python call: in this process, without Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charpipe.config import load_config
from charpipe.config.load import Resolved
from charpipe.config.plugin_folders import open_plugins
from charpipe.config.validation import validate
from charpipe.events import Listener
from charpipe.runs.library import RunLibrary, library_of
from charpipe.stages import Context
from charpipe.stages.context import ignore
from charpipe.stages.recipes import run_directly
from charpipe.tracking.relocation import relocate
from charpipe.workspace import find_workspace


def run_pipeline(
    name: str,
    values: Mapping[str, Any],
    preset: str | None,
    settings: Mapping[str, Any] | None,
    listen: Listener,
) -> tuple[Context, Any]:
    """Run the pipeline `name` in this process; returns its context and its result."""
    resolved = load_config(pipeline=name, preset=preset, settings=settings)
    context = Context(find_workspace(resolved.project_file), resolved, open_plugins(resolved), emit=listen)
    pipeline = context.registry.pipeline(name)
    options = validate(pipeline.options, values, prefix=f"pipelines.{name}")
    return context, run_directly(pipeline, options, context)


def open_runs(resolved: Resolved, notify: Listener = ignore) -> RunLibrary:
    """The runs of the current project, and of the shared store if its settings name one."""
    workspace = find_workspace(resolved.project_file)
    relocate(workspace.root / "mlflow")
    return library_of(workspace, resolved.config.store, open_plugins(resolved), notify)
