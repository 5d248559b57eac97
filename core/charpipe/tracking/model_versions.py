"""What MLflow's registry holds of a champion's version: its key, tags and description."""

from __future__ import annotations

import json
from collections.abc import Mapping

from charpipe.champions.audit import decisions
from charpipe.champions.state import Version
from charpipe.errors import RunError
from charpipe.runs import Run, RunInfo
from charpipe.tracking.location import Location
from charpipe.tracking.logged_models import FILES_TAG
from charpipe.tracking.metadata import CORPUS_TAG, RUN_TAG
from charpipe.workspace import Workspace

VERSION_TAG, MODEL_TAG = "charpipe.version", "charpipe.model"


def version_tags(workspace: Workspace, version: Version) -> dict[str, str]:
    """The tags of a registered version: its lineage, scores and the decision that made it champion."""
    tags = {
        VERSION_TAG: str(version.version),
        MODEL_TAG: version.model,
        FILES_TAG: json.dumps(version.files),
        RUN_TAG: version.run,
        CORPUS_TAG: version.corpus,
        "charpipe.arch": version.architecture,
        "charpipe.settings": version.action,
        "charpipe.by": version.by,
    }
    tags |= {f"charpipe.{name}": digest for name, digest in version.inputs.items()}
    tags |= {f"charpipe.code.{name}": digest for name, digest in version.code.items()}
    tags |= {f"charpipe.{name}": f"{value:.6g}" for name, value in version.scores.items() if "bits" in name}
    if version.replaced is not None:
        tags["charpipe.replaced"] = str(version.replaced)
    if version.parent:
        tags["charpipe.parent"] = version.parent
    lines = decisions(workspace, version.corpus)
    made = [line for line in lines if line.get("version") == version.version]
    if made:
        tags |= {"charpipe.decision": made[0]["digest"], "charpipe.reason": str(made[0]["reason"])}
    return tags


def description(version: Version, tags: Mapping[str, str]) -> str:
    """The description: the score, the origin, and the reason for the promotion."""
    score = version.scores.get("val/bits_per_char")
    parts = [f"val {score:.4f} bits per character"] if score is not None else []
    return " · ".join([*parts, version.run, tags.get("charpipe.reason", ""), f"by {version.by}"])


def version_key(version: Version) -> tuple[str, str]:
    """What identifies a version here and in MLflow: its number and the digest of its model."""
    return str(version.version), version.model


def run_info(workspace: Workspace, version: Version) -> RunInfo | None:
    """The `RunInfo` of the run that a version came from, or None if the run is gone."""
    try:
        return Run(workspace.runs / version.run).info
    except RunError:
        return None


def mlflow_run_id(workspace: Workspace, version: Version, location: Location) -> str | None:
    """The id of the MLflow run that a version came from, if it was tracked to this location."""
    try:
        remembered = Run(workspace.runs / version.run).status.mlflow
    except RunError:
        return None
    return remembered.get("run_id") if location.is_where(remembered) else None
