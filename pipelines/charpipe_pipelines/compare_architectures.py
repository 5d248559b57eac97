"""A comparison as a Prefect flow: one task a configuration."""

from __future__ import annotations

from typing import Any

from prefect import flow

from charpipe_pipelines import job
from charpipe_pipelines.flows import perform
from charpipe_pipelines.options import CompareOptions


@flow(name="compare-architectures", validate_parameters=False, persist_result=False)
def compare_architectures(
    options: dict[str, Any], settings: dict[str, Any], workspace: str | None = None
) -> Any:
    """Train architectures side by side on one corpus, and rank them."""
    return perform(
        "compare-architectures", job.compare_architectures, CompareOptions, options, settings, workspace
    )
