"""The experiment of a corpus in MLflow.

In the workspace's own MLflow, an experiment has the name of its corpus. In an MLflow that workspaces share, two
projects may each have a corpus `./input.txt`: tags record the owner of an experiment, and the second project's gets
another name (`./input.txt · songs · 3f2a91c0`). Corpora whose sources are the same everywhere (URLs, packages) share
one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from charpipe.config.identity import readable_name
from charpipe.errors import CharpipeError, RunError
from charpipe.runs import Run, RunInfo, list_runs
from charpipe.store.digest import digest_of_json
from charpipe.tracking import experiments
from charpipe.tracking.location import Location
from charpipe.tracking.metadata import CORPUS_TAG, RUN_TAG
from charpipe.tracking.owner import project_name, workspace_id, workspace_of

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from mlflow.tracking import MlflowClient

OWNER_TAG = "charpipe.owner"
"""The id of a workspace, or the digest of sources that are the same everywhere."""
MAX_NAME = 200
"""Maximum characters of the corpus's name in the experiment's name."""


def experiment_name(corpus: str, project: str = "", owner: str = "") -> str:
    """The corpus's name; with an `owner`, for when another owner has that name, it includes the project's name and a
    digest."""
    if not owner and len(corpus) <= MAX_NAME and " · " not in corpus:
        return corpus
    digest = digest_of_json([corpus, owner])[:8]
    return " · ".join(filter(None, (corpus[:MAX_NAME], readable_name(project)[:40], digest)))


def experiment_of(
    client: MlflowClient,
    location: Location,
    corpus: str,
    chosen: str | None = None,
    info: RunInfo | None = None,
) -> str:
    """The id of the experiment for runs of `corpus`, which is created if it is new: the one that the settings name
    (`chosen`), or else the corpus's own. `info` describes a run on the corpus; it records whether the sources are the
    same everywhere."""
    if chosen is not None or location.is_own:
        return experiments.ensure(client, chosen or experiment_name(corpus), location)
    return _Search(client, location, corpus, info).ensure()


class _Search:
    """Finds a corpus's experiment in an MLflow that workspaces share."""

    def __init__(self, client: MlflowClient, location: Location, corpus: str, info: RunInfo | None) -> None:
        self._client, self._location, self._corpus = client, location, corpus
        self._workspace = workspace_of(location)
        own = workspace_id(self._workspace)
        origin = info.facts.get("origin") if info is not None else None
        self._owners = [str(origin), own] if origin else [own]

    def ensure(self) -> str:
        for found in self._tagged():
            return experiments.ensure(self._client, found.name, self._location)
        for name in self._names():
            id_ = experiments.ensure(self._client, name, self._location, self._tags())
            if self._is_ours(self._client.get_experiment(id_)):
                return id_
        raise CharpipeError(
            f"the experiments of {self._corpus} belong to another workspace; name one: --set tracking.experiment=NAME"
        )

    def _tags(self) -> dict[str, str]:
        return {CORPUS_TAG: self._corpus, OWNER_TAG: self._owners[0]}

    def _tagged(self) -> Iterator[Experiment]:
        for owner in self._owners:
            for one in self._client.search_experiments(filter_string=f"tags.`{OWNER_TAG}` = '{owner}'"):
                if one.tags.get(CORPUS_TAG) == self._corpus:
                    yield one

    def _names(self) -> tuple[str, str]:
        own = experiment_name(self._corpus, project_name(self._workspace), self._owners[0])
        return experiment_name(self._corpus), own

    def _is_ours(self, found: Experiment) -> bool:
        """Whether its tags name this owner, or it holds a run of ours; an untagged one (of charpipe 0.1, or created
        by hand) without runs of others is adopted and tagged."""
        if OWNER_TAG in found.tags and found.tags.get(CORPUS_TAG) != self._corpus:
            return False
        if found.tags.get(OWNER_TAG) in self._owners or self._holds_ours(found):
            ours = True
        else:
            ours = OWNER_TAG not in found.tags and not self._holds_any(found)
        if ours and OWNER_TAG not in found.tags:
            for key, value in self._tags().items():
                self._client.set_experiment_tag(found.experiment_id, key, value)
        return ours

    def _holds_ours(self, found: Experiment) -> bool:
        return any(self._is_in(run, found) for run in list_runs(self._workspace.root / "runs"))

    def _is_in(self, run: Run, found: Experiment) -> bool:
        try:
            remembered = run.status.mlflow
            there = remembered.get("experiment_id") == found.experiment_id and self._location.is_where(
                remembered
            )
            return there and run.info.corpus == self._corpus
        except RunError:
            return False

    def _holds_any(self, found: Experiment) -> bool:
        where = f"tags.`{RUN_TAG}` LIKE '%'"
        return bool(self._client.search_runs([found.experiment_id], where, max_results=1))
