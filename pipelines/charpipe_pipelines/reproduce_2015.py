"""The experiments of 2015 as a Prefect flow: one task a text, and one a model."""

from __future__ import annotations

from typing import Any

from prefect import flow

from charpipe_pipelines import job
from charpipe_pipelines.flows import perform
from charpipe_pipelines.options import ReproduceOptions


@flow(name="reproduce-2015", validate_parameters=False, persist_result=False)
def reproduce_2015(options: dict[str, Any], settings: dict[str, Any], workspace: str | None = None) -> Any:
    """Train the models of the blog and the paper of 2015, scaled to a budget."""
    return perform("reproduce-2015", job.reproduce_2015, ReproduceOptions, options, settings, workspace)
