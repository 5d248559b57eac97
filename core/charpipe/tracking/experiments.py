"""Experiments and runs in MLflow: one experiment per corpus; a run has charpipe's name as a tag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from charpipe.config.identity import file_name
from charpipe.errors import RunError, UsageError
from charpipe.store.digest import digest_of_json
from charpipe.tracking import view
from charpipe.tracking.location import Location
from charpipe.tracking.metadata import RUN_TAG

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from mlflow.entities import Run as MlflowRun
    from mlflow.tracking import MlflowClient

KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Opens MLflow's page on runs and their comparison instead of its view of language-model traces."""


def ensure(client: MlflowClient, name: str, location: Location, tags: Mapping[str, str] | None = None) -> str:
    """The id of the experiment with that name, which is created if it is new, with `tags` and an explicit artifact
    location."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            given = KIND | {view.TAG: view.view()} | dict(tags or {})
            return str(client.create_experiment(name, artifact_location=_place(name, location), tags=given))
        except MlflowException:  # another process was faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    show(client, found)
    return str(found.experiment_id)


def _place(name: str, location: Location) -> str | None:
    """The artifact location of a new experiment: a separate folder, valid for any name."""
    return f"{location.artifacts.rstrip('/')}/{_folder(name)}" if location.artifacts else None


def _folder(name: str) -> str:
    """The folder name of an experiment's artifacts: unique for every name, and without a percent sign, because
    MLflow's own tools decode some paths twice."""
    folder = file_name(name)
    if "%" not in folder:
        return folder
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:80].lstrip('.')}-{digest_of_json(name)[:16]}"


def show(client: MlflowClient, experiment: Experiment) -> None:
    """Set charpipe's view on the experiment, unless it has the current one."""
    if experiment.tags.get(view.TAG) != (shown := view.view()):
        client.set_experiment_tag(experiment.experiment_id, view.TAG, shown)


def find_run(client: MlflowClient, name: str, run_id: str | None = None) -> MlflowRun | None:
    """The run with that id, or else the newest with that name; deleted runs are ignored."""
    from mlflow.exceptions import MlflowException

    if run_id:
        try:
            found = client.get_run(run_id)
            if found.info.lifecycle_stage == "active":
                return found
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    if re.search(r"['\\]", name):
        return None  # no run has that name
    runs = _search(client, f"tags.`{RUN_TAG}` = '{name}'")
    return runs[0] if runs else None


def look_up(client: MlflowClient, wanted: str, shown: str) -> MlflowRun:
    """The run with a name, a unique prefix of a name, or an MLflow id.

    Raises UsageError if there is none or more than one.
    """
    exact = find_run(client, wanted, wanted if len(wanted) == 32 and wanted.isalnum() else None)
    if exact is not None:
        return exact
    beginning = re.split(r"['\\%]", wanted)[0]  # LIKE may match more; filtered below
    runs = [
        run
        for run in _search(client, f"tags.`{RUN_TAG}` LIKE '{beginning}%'")
        if run.data.tags[RUN_TAG].startswith(wanted)
    ]
    names = sorted({run.data.tags[RUN_TAG] for run in runs})
    if len(names) > 1:
        raise UsageError(f"{wanted!r} is a prefix of the names of {len(names)} runs: {', '.join(names[:5])}")
    if not runs:
        raise RunError(f"there is no run {wanted!r} in the MLflow at {shown}")
    return runs[0]


def _search(client: MlflowClient, where: str) -> list[MlflowRun]:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return (
        list(client.search_runs(experiments, where, order_by=["attributes.start_time DESC"]))
        if experiments
        else []
    )
