"""A comparison or a sweep in MLflow: a parent run with a table and curves; the training runs are its children.

Publishing is idempotent. A training that is part of several comparisons is a child of the last of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charpipe.reports.history import Point
from charpipe.reports.markdown import cell
from charpipe.reports.titles import run_title, seeded_title
from charpipe.runs import Run
from charpipe.tracking import experiments, learning_curves
from charpipe.tracking import metadata as describe
from charpipe.tracking.client import connect, explain
from charpipe.tracking.corpora import experiment_of
from charpipe.tracking.location import Location
from charpipe.tracking.sync import sync

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking import MlflowClient

NAME_TAG, PARENT_TAG, NOTE_TAG, TABLES_TAG = (
    "charpipe.comparison",
    "mlflow.parentRunId",
    "mlflow.note.content",
    "mlflow.loggedArtifacts",
)
TABLE = "leaderboard.json"
PARTS = (("step", "plots/bits_per_char_by_step.svg"), ("seconds", "plots/bits_per_char_by_time.svg"))


@dataclass(frozen=True)
class Board:
    """The content of a comparison in MLflow: its name and title, its corpus, the chosen experiment (None: the
    corpus's); a table of texts; the ranked runs; curves of validation bits per character by configuration, one per
    seed; the files to attach; and the names of the runs that differ from another run only in their seed."""

    name: str
    title: str
    corpus: str
    experiment: str | None
    params: Mapping[str, str]
    head: Sequence[str]
    table: Sequence[Sequence[str]]
    runs: Sequence[Run]
    curves: Mapping[str, Sequence[Sequence[Point]]]
    files: Sequence[Path] = field(default_factory=tuple)
    seeded: frozenset[str] = frozenset()
    complete: bool = True
    kind: str = "comparison"
    """Or "sweep"."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """More plots: SVG by path."""


def publish(location: Location, board: Board) -> str:
    """Publish the comparison to MLflow; returns the parent's run id. Raises CharpipeError if MLflow fails."""
    try:
        client = connect(location)
        children = [_child(client, location, board, run) for run in board.runs]
        parent = _parent(client, location, board, children)
        for run, child in zip(board.runs, children, strict=True):
            _enroll(client, parent, board, run, child)
        _fill(client, parent, board)
        ended = max((child.info.end_time or 0 for child in children), default=0)
        client.set_terminated(parent, "FINISHED" if board.complete else "FAILED", end_time=ended or None)
        return parent
    except Exception as error:
        raise explain(error, location) from error


def _child(client: MlflowClient, location: Location, board: Board, run: Run) -> MlflowRun:
    """The MLflow run of a training; if MLflow lacks it, or its end, it is synced first."""
    remembered = run.status.mlflow
    known = remembered.get("run_id") if location.is_where(remembered) else None
    found = experiments.find_run(client, run.name, known)
    if (
        found is None
        or found.info.status != "FINISHED"
        or run.status.metrics.keys() - found.data.metrics.keys()
    ):
        sync(location, run, board.experiment)
        found = client.get_run(run.status.mlflow["run_id"])
    return found


def _parent(client: MlflowClient, location: Location, board: Board, children: Sequence[MlflowRun]) -> str:
    info = board.runs[0].info if board.runs else None
    experiment = experiment_of(client, location, board.corpus, board.experiment, info)
    where = f"tags.`{NAME_TAG}` = '{board.name}' AND tags.`charpipe.kind` = '{board.kind}'"
    found = client.search_runs([experiment], where, order_by=["attributes.start_time ASC"], max_results=1)
    if found:
        return str(found[0].info.run_id)
    started = min((child.info.start_time for child in children), default=None)
    tags = {
        NAME_TAG: board.name,
        "charpipe.kind": board.kind,
        "mlflow.source.name": "charpipe",
        "mlflow.source.type": "LOCAL",
    }
    made = client.create_run(experiment, start_time=started, tags=tags, run_name=board.title)
    return str(made.info.run_id)


def _enroll(client: MlflowClient, parent: str, board: Board, run: Run, child: MlflowRun) -> None:
    id_ = child.info.run_id
    for tag, value in ((PARENT_TAG, parent), (NAME_TAG, board.name)):
        if child.data.tags.get(tag) != value:
            client.set_tag(id_, tag, value)
    info = run.info
    if run.name in board.seeded and child.info.run_name == run_title(info):  # keep a name that the user gave
        client.update_run(id_, name=seeded_title(info))


def _fill(client: MlflowClient, parent: str, board: Board) -> None:
    from mlflow.entities import Param

    known = client.get_run(parent).data.params
    shared = _shared_params(board.runs) | dict(board.params)
    new = [Param(key, value) for key, value in sorted(shared.items()) if key not in known]
    if new:
        client.log_batch(parent, params=new)
    for file in board.files:
        client.log_artifact(parent, str(file))
    columns = {"columns": list(board.head), "data": [list(row) for row in board.table]}
    client.log_text(parent, json.dumps(columns, ensure_ascii=False), TABLE)
    client.set_tag(parent, TABLES_TAG, json.dumps([{"path": TABLE, "type": "table"}]))
    client.set_tag(parent, NOTE_TAG, _markdown(board))
    for across, path in PARTS:
        drawn = learning_curves.draw(board.curves, across)
        if drawn is not None:
            client.log_text(parent, drawn, path)
    for path, picture in board.pictures.items():
        client.log_text(parent, picture, path)


def _shared_params(runs: Sequence[Run]) -> dict[str, str]:
    """The training settings that all runs share."""
    found: list[dict[str, Any]] = [describe.params(run.info) for run in runs]
    if not found:
        return {}
    return {
        key: value
        for key, value in found[0].items()
        if key.startswith("train.") and all(one.get(key) == value for one in found)
    }


def _markdown(board: Board) -> str:
    """The leaderboard as Markdown, for the run's description in MLflow."""
    rows = [board.head, ["---"] * len(board.head), *board.table]
    return "\n".join("| " + " | ".join(cell(text) for text in row) + " |" for row in rows) + "\n"
