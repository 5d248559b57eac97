"""Mirror the workspace's champions to MLflow's model registry: one registered model per corpus, one version per
stored model, and the aliases `champion` and `previous`.

The workspace is the source of truth: `follow` adds what is missing, and may be called repeatedly and after an
interruption at any point. The published state is recorded, so that a run with nothing new does not import MLflow.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charpipe.champions import records
from charpipe.champions.audit import decisions
from charpipe.champions.state import ChampionState, Version, champion_folder, read_state
from charpipe.errors import CharpipeError
from charpipe.events import Listener, Notice
from charpipe.reports.markdown import code
from charpipe.store.atomic import write_json
from charpipe.store.digest import digest_of_json
from charpipe.tracking import experiments
from charpipe.tracking.client import connect, explain
from charpipe.tracking.corpora import experiment_of
from charpipe.tracking.file_uris import path_of
from charpipe.tracking.location import Location
from charpipe.tracking.metadata import CORPUS_TAG
from charpipe.tracking.model_names import earlier_model_name, model_name
from charpipe.tracking.model_versions import (
    MODEL_TAG,
    VERSION_TAG,
    description,
    mlflow_run_id,
    run_info,
    version_key,
    version_tags,
)
from charpipe.tracking.owner import workspace_id
from charpipe.tracking.served_model import save_served_model
from charpipe.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

OWNER_TAG = "charpipe.workspace"


def follow(location: Location, workspace: Workspace, corpus: str, experiment: str | None = None) -> int:
    """Update MLflow's registry to the champions of `corpus`; returns the number of versions added.

    Raises CharpipeError if the update of MLflow is incomplete; the workspace does not change.
    """
    state = read_state(workspace, corpus)
    if state is None:
        return 0
    try:
        added = _RegistryUpdate(location, workspace, state, experiment).everything()
    except CharpipeError:
        raise
    except Exception as error:
        raise explain(error, location) from error
    write_json(_note(workspace, corpus), {"told": _state_digest(location, workspace, state)})
    return added


def keep_up(
    location: Location, workspace: Workspace, corpus: str, notify: Listener, experiment: str | None = None
) -> None:
    """Like `follow`, if there is something new; an error becomes a notice, and the next run retries."""
    try:
        state = read_state(workspace, corpus)
        if state is None or _published(workspace, corpus) == _state_digest(location, workspace, state):
            return
        follow(location, workspace, corpus, experiment)
    except CharpipeError as error:
        notify(
            Notice(
                f"the champion of {corpus} is not in MLflow's registry yet: {error}; the next run registers "
                "it, or type: charpipe runs sync",
                level="warning",
            )
        )


def _state_digest(location: Location, workspace: Workspace, state: ChampionState) -> str:
    """The digest of everything that MLflow should contain."""
    there = [version.version for version in records.versions(workspace, state.corpus)]
    return digest_of_json([location.key, state.decision.get("digest"), state.champion.version, there])


def _published(workspace: Workspace, corpus: str) -> str | None:
    try:
        return str(json.loads(_note(workspace, corpus).read_text(encoding="utf-8"))["told"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(workspace: Workspace, corpus: str) -> Path:
    return champion_folder(workspace, corpus) / "registry.json"


class _RegistryUpdate:
    """One update of the registry. Every step is idempotent."""

    def __init__(
        self, location: Location, workspace: Workspace, state: ChampionState, experiment: str | None
    ) -> None:
        self._location, self._workspace, self._state = location, workspace, state
        self._experiment = experiment
        self._owner = workspace_id(workspace)
        self._client: MlflowClient = connect(location)
        self._name = self._own_name()

    def everything(self) -> int:
        """Register stored versions, set the aliases, and remove versions that are no longer stored."""
        self._ensure_model()
        there, added = self._there(), 0
        kept = records.versions(self._workspace, self._state.corpus)
        for version in kept:
            if version_key(version) not in there and self._is_whole(version):
                there[version_key(version)] = self._register(version)
                added += 1
        self._set_alias("champion", self._state.champion, there)
        self._set_alias("previous", self._state.previous, there)
        self._retire({version_key(version) for version in kept}, there)
        return added

    def _own_name(self) -> str:
        """The name given by charpipe 0.1, if it belongs to this corpus and this workspace; else the plain one; else,
        if another workspace has that, one with a digest."""
        corpus = self._state.corpus
        earlier, plain = earlier_model_name(corpus), model_name(corpus)
        tags = self._tags_of(earlier)
        if tags is not None and tags.get(CORPUS_TAG) == corpus and self._is_ours(earlier, tags):
            return earlier
        tags = self._tags_of(plain)
        if tags is None or (tags.get(CORPUS_TAG) == corpus and self._is_ours(plain, tags)):
            return plain
        return model_name(corpus, self._owner)

    def _tags_of(self, name: str) -> dict[str, str] | None:
        from mlflow.exceptions import MlflowException

        try:
            return dict(self._client.get_registered_model(name).tags)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _is_ours(self, name: str, tags: Mapping[str, str]) -> bool:
        """Whether this workspace registered the model; a model without an owner is ours if it has a version of ours."""
        if OWNER_TAG in tags:
            return tags[OWNER_TAG] == self._owner
        ours = {version_key(version) for version in records.versions(self._workspace, self._state.corpus)}
        there = self._there(name)
        return self._location.is_own or not there or bool(ours & set(there))

    def _ensure_model(self) -> None:
        from mlflow.exceptions import MlflowException

        corpus = self._state.corpus
        tags = {CORPUS_TAG: corpus, OWNER_TAG: self._owner}
        try:
            self._client.create_registered_model(
                self._name, tags, f"charpipe's models of the corpus {code(corpus)}"
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._tags_of(self._name) or {}
        if found.get(CORPUS_TAG) != corpus or found.get(OWNER_TAG, self._owner) != self._owner:
            raise CharpipeError(
                f"the registered model {self._name} belongs to another corpus; nothing was registered; "
                "rename it in MLflow and type: charpipe runs sync"
            )
        if OWNER_TAG not in found:
            self._client.set_registered_model_tag(self._name, OWNER_TAG, self._owner)

    def _there(self, name: str | None = None) -> dict[tuple[str, str], ModelVersion]:
        found = self._client.search_model_versions(f"name='{name or self._name}'")
        return {
            (one.tags[VERSION_TAG], one.tags[MODEL_TAG]): one
            for one in found
            if VERSION_TAG in one.tags and MODEL_TAG in one.tags
        }

    def _is_whole(self, version: Version) -> bool:
        return records.damage(records.kept(self._workspace, version)) is None

    def _register(self, version: Version) -> ModelVersion:
        client = self._client
        info = run_info(self._workspace, version)
        experiment_id = experiment_of(client, self._location, version.corpus, self._experiment, info)
        remembered = mlflow_run_id(self._workspace, version, self._location)
        run = experiments.find_run(client, version.run, remembered)
        run_id = run.info.run_id if run is not None else None
        tags = {key: value[:5000] for key, value in version_tags(self._workspace, version).items()}
        model = self._logged(version, experiment_id, run_id, tags)
        there = run_id is not None or self._location.is_server
        return client.create_model_version(
            self._name,
            model.artifact_location,
            run_id=run_id,
            tags=tags,
            description=description(version, tags),
            model_id=model.model_id if there else None,
        )

    def _logged(
        self, version: Version, experiment_id: str, run_id: str | None, tags: Mapping[str, str]
    ) -> Any:
        """The LoggedModel that holds the files; one left by an interrupted update is reused."""
        name = f"champion-{version.version}-{version.model[:12]}"
        found = self._client.search_logged_models([experiment_id], filter_string=f"name = '{name}'")
        ready = [one for one in found if str(one.status) in ("READY", "LoggedModelStatus.READY")]
        if ready:
            return ready[0]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            save_served_model(records.kept(self._workspace, version).folder, folder)
            model = self._client.create_logged_model(
                experiment_id, name=name, source_run_id=run_id, tags=dict(tags), model_type="charpipe"
            )
            try:
                self._client.log_model_artifacts(model.model_id, str(folder))
            except Exception:
                self._client.finalize_logged_model(model.model_id, "FAILED")
                raise
        return self._client.finalize_logged_model(model.model_id, "READY")

    def _set_alias(
        self, alias: str, version: Version | None, there: Mapping[tuple[str, str], ModelVersion]
    ) -> None:
        wanted = there.get(version_key(version)) if version is not None else None
        aliases = self._client.get_registered_model(self._name).aliases
        if wanted is None:
            if alias in aliases:
                self._client.delete_registered_model_alias(self._name, alias)
        elif str(aliases.get(alias)) != str(wanted.version):
            self._client.set_registered_model_alias(self._name, alias, wanted.version)

    def _retire(self, kept: set[tuple[str, str]], there: Mapping[tuple[str, str], ModelVersion]) -> None:
        """Remove our versions that are no longer stored here."""
        lines = decisions(self._workspace, self._state.corpus)
        ours = {(str(line.get("version")), str(line.get("model"))) for line in lines}
        for key, version in there.items():
            if key in ours and key not in kept:
                self._client.delete_model_version(self._name, version.version)
                if self._location.is_own:
                    shutil.rmtree(_local(version.source), ignore_errors=True)


def _local(uri: str) -> Path:
    return Path(path_of(uri))
