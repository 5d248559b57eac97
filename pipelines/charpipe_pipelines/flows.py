"""Where the flow of each pipeline stands, so that a process that knows only a name can open it cold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charpipe.errors import UsageError
from charpipe.workspace import Workspace

FLOWS = {"train-and-sample": "charpipe_pipelines.train_and_sample.train_and_sample"}


def entrypoints() -> Mapping[str, str]:
    """The module path of every pipeline's flow, by the pipeline's name."""
    return FLOWS


def entrypoint(pipeline: str) -> str:
    """The module path of a pipeline's flow. Raises UsageError for one that is no Prefect flow."""
    if pipeline not in entrypoints():
        raise UsageError(f"the pipeline {pipeline} has no Prefect flow and cannot be deployed")
    return entrypoints()[pipeline]


def parameters(
    pipeline: str,
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    preset: str | None,
    workspace: Workspace,
) -> dict[str, Any]:
    """A flow's parameters: plain JSON, from which it opens its own session."""
    return {"options": dict(options), "settings": dict(settings), "workspace": str(workspace.root)}
