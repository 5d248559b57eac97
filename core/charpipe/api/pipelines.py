"""Run a pipeline for a Python call: in this process, without Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charpipe.config import load_config
from charpipe.config.plugin_folders import open_plugins
from charpipe.config.validation import validate
from charpipe.events import Listener
from charpipe.stages import Context
from charpipe.stages.recipes import run_directly
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
