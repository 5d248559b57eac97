"""The main job as a Prefect flow: one coarse task a stage."""

from __future__ import annotations

from typing import Any

from prefect import flow

from charpipe_pipelines import job
from charpipe_pipelines.flows import perform
from charpipe_pipelines.options import TrainAndSampleOptions


@flow(name="train-and-sample", validate_parameters=False, persist_result=False)
def train_and_sample(options: dict[str, Any], settings: dict[str, Any], workspace: str | None = None) -> Any:
    """Train a character-level language model on a corpus and let it write."""
    return perform(
        "train-and-sample", job.train_and_sample, TrainAndSampleOptions, options, settings, workspace
    )
