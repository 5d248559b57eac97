"""Mirror the workspace's champions to MLflow's model registry: one registered model per corpus, one version per
stored model, and the aliases `champion` and `previous`.

The workspace is the source of truth: `follow` adds what is missing, and may be called repeatedly and after an
interruption at any point. The published state is recorded, so that a run with nothing new does not import MLflow.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charpipe.champions import records
from charpipe.champions.audit import decisions
from charpipe.champions.references import parse_reference
from charpipe.champions.state import BUNDLE, ChampionState, Version, champion_folder, read_state
from charpipe.config.identity import called, file_name
from charpipe.errors import CharpipeError, RunError, UsageError
from charpipe.events import Listener, Notice
from charpipe.reports.markdown import code
from charpipe.runs import Run, RunInfo
from charpipe.store.atomic import write_json
from charpipe.store.digest import digest_of_json
from charpipe.tracking import experiments
from charpipe.tracking.client import connect, explain
from charpipe.tracking.corpora import experiment_of
from charpipe.tracking.file_uris import path_of
from charpipe.tracking.location import Location
from charpipe.tracking.logged_models import FILES_TAG, digests
from charpipe.tracking.metadata import CORPUS_TAG, RUN_TAG
from charpipe.tracking.owner import workspace_id
from charpipe.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

VERSION_TAG, MODEL_TAG = "charpipe.version", "charpipe.model"
OWNER_TAG = "charpipe.workspace"
PAGE = 500
"""Registered models requested per page."""


def model_name(corpus: str, owner: str = "") -> str:
    """The name of a corpus's registered model, such as `charpipe-linux_src`. The name ends with a digest if it had to
    be altered to be legal, or if it is for an `owner` (a workspace, when another one has the plain name)."""
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", corpus)[:100]
    if plain == corpus and not owner and not re.search(r"-[0-9a-f]{10}$", corpus):
        return f"charpipe-{plain}"
    return f"charpipe-{plain}-{digest_of_json([corpus, owner])[:10]}"


def _earlier_name(corpus: str) -> str:
    """The name in charpipe 0.1: the same for several corpora, and used only if its tags say that it is ours."""
    return "charpipe-" + re.sub(r"[^\w-]", "_", corpus)


def follow(location: Location, workspace: Workspace, corpus: str, experiment: str | None = None) -> int:
    """Update MLflow's registry to the champions of `corpus`; returns the number of versions added.

    Raises CharpipeError if the update of MLflow is incomplete; the workspace does not change.
    """
    state = read_state(workspace, corpus)
    if state is None:
        return 0
    try:
        added = _Following(location, workspace, state, experiment).everything()
    except CharpipeError:
        raise
    except Exception as error:
        raise explain(error, location) from error
    write_json(_note(workspace, corpus), {"told": _told(location, workspace, state)})
    return added


def keep_up(
    location: Location, workspace: Workspace, corpus: str, notify: Listener, experiment: str | None = None
) -> None:
    """Like `follow`, if there is something new; an error becomes a notice, and the next run retries."""
    try:
        state = read_state(workspace, corpus)
        if state is None or _known(workspace, corpus) == _told(location, workspace, state):
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


def _told(location: Location, workspace: Workspace, state: ChampionState) -> str:
    """The digest of everything that MLflow should contain."""
    there = [version.version for version in records.versions(workspace, state.corpus)]
    return digest_of_json([location.key, state.decision.get("digest"), state.champion.version, there])


def _known(workspace: Workspace, corpus: str) -> str | None:
    try:
        return str(json.loads(_note(workspace, corpus).read_text(encoding="utf-8"))["told"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _note(workspace: Workspace, corpus: str) -> Path:
    return champion_folder(workspace, corpus) / "registry.json"


class _Following:
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
            if _key(version) not in there and self._is_whole(version):
                there[_key(version)] = self._register(version)
                added += 1
        self._set_alias("champion", self._state.champion, there)
        self._set_alias("previous", self._state.previous, there)
        self._retire({_key(version) for version in kept}, there)
        return added

    def _own_name(self) -> str:
        """The name given by charpipe 0.1, if it belongs to this corpus and this workspace; else the plain one; else,
        if another workspace has that, one with a digest."""
        corpus = self._state.corpus
        earlier, plain = _earlier_name(corpus), model_name(corpus)
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
        ours = {_key(version) for version in records.versions(self._workspace, self._state.corpus)}
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
        info = _info(self._workspace, version)
        experiment_id = experiment_of(client, self._location, version.corpus, self._experiment, info)
        remembered = _mlflow_id(self._workspace, version, self._location)
        run = experiments.find_run(client, version.run, remembered)
        run_id = run.info.run_id if run is not None else None
        tags = {key: value[:5000] for key, value in self._tags(version).items()}
        model = self._logged(version, experiment_id, run_id, tags)
        there = run_id is not None or self._location.is_server
        return client.create_model_version(
            self._name,
            model.artifact_location,
            run_id=run_id,
            tags=tags,
            description=_description(version, tags),
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
            save(records.kept(self._workspace, version).folder, folder)
            model = self._client.create_logged_model(
                experiment_id, name=name, source_run_id=run_id, tags=dict(tags), model_type="charpipe"
            )
            try:
                self._client.log_model_artifacts(model.model_id, str(folder))
            except Exception:
                self._client.finalize_logged_model(model.model_id, "FAILED")
                raise
        return self._client.finalize_logged_model(model.model_id, "READY")

    def _tags(self, version: Version) -> dict[str, str]:
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
        tags |= {
            f"charpipe.{name}": f"{value:.6g}" for name, value in version.scores.items() if "bits" in name
        }
        if version.replaced is not None:
            tags["charpipe.replaced"] = str(version.replaced)
        if version.parent:
            tags["charpipe.parent"] = version.parent
        lines = decisions(self._workspace, version.corpus)
        made = [line for line in lines if line.get("version") == version.version]
        if made:
            tags |= {"charpipe.decision": made[0]["digest"], "charpipe.reason": str(made[0]["reason"])}
        return tags

    def _set_alias(
        self, alias: str, version: Version | None, there: Mapping[tuple[str, str], ModelVersion]
    ) -> None:
        wanted = there.get(_key(version)) if version is not None else None
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


def save(checkpoint: Path, folder: Path) -> None:
    """Save a checkpoint's bundle as a model that MLflow can serve: charpipe's own files in `artifacts/bundle`, next
    to the code that MLflow runs."""
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        # MLflow warns about its own types on import, and wants an input example, for which it would run the model now
        warnings.simplefilter("ignore", UserWarning)
        import mlflow.pyfunc

        from charpipe.tracking import pyfunc as served

        bundle = Path(temporary) / "bundle"
        bundle.mkdir()
        for name in BUNDLE:
            shutil.copyfile(checkpoint / name, bundle / name)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(served.__file__),
            artifacts={"bundle": bundle.as_uri()},
            signature=served.SIGNATURE,
            pip_requirements=[f"charpipe=={metadata.version('charpipe')}"],
        )


def download_champion(location: Location, wanted: str, folder: Path) -> Path:
    """Download the bundle of `champion:CORPUS` or `previous:CORPUS` from MLflow's registry, given only its URI.

    Returns a folder in `folder` whose files match the recorded sha256. Raises RunError if there is none, or if it
    differs from the record.
    """
    try:
        return _download(location, wanted, folder)
    except CharpipeError:
        raise
    except Exception as error:
        raise explain(error, location) from error


def _download(location: Location, wanted: str, folder: Path) -> Path:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    reference = parse_reference(wanted)
    if reference is None:
        raise UsageError(f"{wanted!r} names no champion; type champion:CORPUS or previous:CORPUS")
    alias, corpus = reference
    client = connect(location)
    name = _registered(client, corpus)
    try:
        version = client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        raise RunError(f"the MLflow at {location.shown} knows no {alias} of {corpus!r} ({name})") from error
    expected = json.loads(version.tags.get(FILES_TAG, "{}"))
    target = folder / f"{file_name(name)}-{version.version}-{version.tags.get(MODEL_TAG, '')[:12]}"
    if target.is_dir() and digests(target) == expected:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        fetched = Path(
            download_artifacts(
                artifact_uri=f"{version.source.rstrip('/')}/artifacts/bundle",
                dst_path=temporary,
                tracking_uri=location.uri,
            )
        )
        if not expected or digests(fetched) != expected:
            raise RunError(
                f"the {alias} of {corpus} from {location.shown} does not match its recorded digest; nothing was kept"
            )
        shutil.rmtree(target, ignore_errors=True)
        fetched.rename(target)
    return target


def _registered(client: MlflowClient, wanted: str) -> str:
    """The registered model of a corpus, by its tag (the full identity, or an unambiguous short form), or by its own
    name. Raises UsageError if there are several."""
    there = _tagged(client)
    meant = {wanted} if wanted in there.values() else set(called(wanted, there.values()))
    found = [name for name, corpus in there.items() if name == wanted or corpus in meant]
    if len(found) > 1:
        several = "workspaces have a champion of" if len(meant) == 1 else "corpora may be meant by"
        listed = ", ".join(f"champion:{there[name] if len(meant) > 1 else name}" for name in sorted(found))
        raise UsageError(f"{len(found)} {several} {wanted!r} there; type one of: {listed}")
    if found:
        return found[0]
    return wanted if wanted.startswith("charpipe-") else model_name(wanted)


def _tagged(client: MlflowClient) -> dict[str, str]:
    """The registered models created by charpipe: a mapping from name to corpus."""
    found: dict[str, str] = {}
    token = None
    while True:
        page = client.search_registered_models(
            f"tags.`{CORPUS_TAG}` LIKE '%'", max_results=PAGE, page_token=token
        )
        found |= {one.name: one.tags[CORPUS_TAG] for one in page}
        token = page.token
        if not token:
            return found


def _description(version: Version, tags: Mapping[str, str]) -> str:
    """The description: the score, the origin, and the reason for the promotion."""
    score = version.scores.get("val/bits_per_char")
    told = [f"val {score:.4f} bits per character"] if score is not None else []
    return " · ".join([*told, version.run, tags.get("charpipe.reason", ""), f"by {version.by}"])


def _key(version: Version) -> tuple[str, str]:
    return str(version.version), version.model


def _info(workspace: Workspace, version: Version) -> RunInfo | None:
    """The `RunInfo` of the run that a version came from, or None if the run is gone."""
    try:
        return Run(workspace.runs / version.run).info
    except RunError:
        return None


def _mlflow_id(workspace: Workspace, version: Version, location: Location) -> str | None:
    try:
        remembered = Run(workspace.runs / version.run).status.mlflow
    except RunError:
        return None
    return remembered.get("run_id") if location.is_where(remembered) else None


def _local(uri: str) -> Path:
    return Path(path_of(uri))
