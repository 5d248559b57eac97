"""The deployments of a project file, validated against pipeline, corpus and settings before anything starts."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charpipe.config import load_config
from charpipe.config.layers import parse_setting
from charpipe.config.load import Resolved
from charpipe.config.validation import validate
from charpipe.errors import CharpipeError, UsageError, near_match
from charpipe.plugin import Pipeline
from charpipe.plugins.registry import Registry
from charpipe.stages import Context, check
from charpipe.store.actions import flatten
from charpipe.workspace import Workspace
from charpipe_pipelines.deployments.projects import describe_project, relative_to_project
from charpipe_pipelines.deployments.settings import DeploymentConfig, Schedule

NONE_YET = (
    "there are no deployments in pipelines.toml; describe one, as in:\n\n"
    '  [deployments.nightly]\n  pipeline = "retrain"\n  corpus = "linux_src"\n'
    '  schedule = {cron = "0 3 * * *", timezone = "UTC"}\n'
)


@dataclass(frozen=True)
class Deployment:
    """A valid deployment: its pipeline's options are complete, its settings resolve."""

    name: str
    config: DeploymentConfig
    pipeline: Pipeline
    options: Mapping[str, Any]
    settings: Mapping[str, Any]
    folder: Path
    preset: Mapping[str, Any] = field(default_factory=dict)
    """The settings of its preset."""

    def parameters(self, workspace: Workspace) -> dict[str, Any]:
        """The flow's parameters: plain JSON, from which the flow creates a context of its own."""
        return {
            "options": dict(self.options),
            "settings": self.all_settings,
            "workspace": str(workspace.root),
        }

    def portable_parameters(self, registry: Registry) -> dict[str, Any]:
        """The flow's parameters on any machine: the digest of its project instead of paths of this one.

        A flow of a plugin's own has no parameter for the digest: its workspace is None, and it opens that of its
        worker by itself.
        """
        options = dict(self.options)
        corpus = options.get("corpus")
        if isinstance(corpus, str) and Path(corpus).is_absolute():
            options["corpus"] = relative_to_project(corpus, self.folder)
        given = {"options": options, "settings": self.all_settings}
        if self.pipeline.flow is not None:
            return {**given, "workspace": None}
        resolved = load_config(start=self.folder, pipeline=self.pipeline.name, settings=self.all_settings)
        return {**given, "project": describe_project(resolved, registry, options.get("corpus")).to_json()}

    @property
    def all_settings(self) -> dict[str, Any]:
        """The settings that are its own: its preset's, overridden by those of its table."""
        return {**self.preset, **dict(flatten(dict(self.settings)))} if self.preset else dict(self.settings)

    @property
    def subject(self) -> str:
        """What the deployment works on, for lists."""
        return " ".join(str(self.options[key]) for key in ("corpus", "arch") if self.options.get(key))

    @property
    def command(self) -> str:
        """The command that does the same in this terminal: its options, preset and settings included."""
        words = ["charpipe", "run", self.pipeline.name]
        for key, value in self.options.items():
            if value is not None and value != self.pipeline.options.model_fields[key].default:
                words += [f"--{key.strip('_').replace('_', '-')}", str(value)]
        if self.config.preset is not None:
            words += ["--preset", self.config.preset]
        for key, value in flatten(dict(self.settings)):
            words += ["--set", _setting(key, value)]
        return shlex.join(words)


def entrypoint(pipeline: Pipeline) -> str:
    """The entrypoint by which a deployment finds the pipeline's flow."""
    return pipeline.flow or f"charpipe_pipelines.flows.{pipeline.name}"


def read_deployments(workspace: Workspace, registry: Registry) -> list[Deployment]:
    """All deployments of the current project file.

    Raises UsageError with the key's path and the reason: an invalid schedule, an unknown pipeline, corpus or setting.
    """
    base = load_config()
    folder = base.project_file.parent if base.project_file else Path.cwd()
    tables = base.config.deployments
    return [_read(name, table, workspace, registry, folder) for name, table in sorted(tables.items())]


def pick(deployments: Iterable[Deployment], name: str) -> Deployment:
    """The deployment with this name. Raises UsageError with a near match."""
    by_name = {deployment.name: deployment for deployment in deployments}
    if name not in by_name:
        if not by_name:
            raise UsageError(NONE_YET)
        raise UsageError(f"there is no deployment {name!r}{near_match(name, by_name)}")
    return by_name[name]


def _read(
    name: str, table: Mapping[str, Any], workspace: Workspace, registry: Registry, folder: Path
) -> Deployment:
    where = f"deployments.{name}"
    if "/" in name or "%" in name or not name.strip():
        raise UsageError(f"{where}: a deployment's name holds neither / nor %")
    own = {key: value for key, value in table.items() if key in DeploymentConfig.model_fields}
    if "pipeline" not in own:
        raise UsageError(f'{where}.pipeline is needed, as in pipeline = "retrain"')
    config = validate(DeploymentConfig, own, prefix=where)
    pipeline = _at(f"{where}.pipeline", lambda: registry.pipeline(config.pipeline))
    _refuse_unknown(where, table, pipeline)
    if config.schedule is not None:
        _check_cron(f"{where}.schedule.cron", config.schedule)
    resolved = _at(
        f"{where}.settings",
        lambda: load_config(pipeline=pipeline.name, preset=config.preset, settings=config.settings),
    )
    given = {key: value for key, value in table.items() if key not in own}
    options = _options(where, pipeline, {**resolved.options, **given}, folder, resolved)
    _check_request(where, options, Context(workspace, resolved, registry))
    preset = _preset(resolved, config.preset)
    return Deployment(name, config, pipeline, options, config.settings, folder, preset)


def _preset(resolved: Resolved, name: str | None) -> dict[str, Any]:
    """The settings that come from the preset, by dotted key."""
    tables = resolved.config.model_dump(mode="json")
    origin = f"preset {name}"
    return {key: _at_key(tables, key) for key, where in resolved.origins.items() if where == origin}


def _at_key(tables: Mapping[str, Any], key: str) -> Any:
    value: Any = tables
    for part in key.split("."):
        value = value[part]
    return value


def _setting(key: str, value: Any) -> str:
    """`KEY=VALUE` as --set reads it: a string is quoted only where it would be parsed as another type."""
    plain = f"{key}={value}"
    if isinstance(value, str) and parse_setting(plain) == (key, value):
        return plain
    return f"{key}={json.dumps(value, ensure_ascii=False, default=str)}"


def _refuse_unknown(where: str, table: Mapping[str, Any], pipeline: Pipeline) -> None:
    known = {*DeploymentConfig.model_fields, *pipeline.options.model_fields}
    for key in table:
        if key not in known:
            raise UsageError(
                f"{where}.{key} is neither a deployment's setting nor an option of {pipeline.name}"
                f"{near_match(key, known)}"
            )


def _options(
    where: str, pipeline: Pipeline, values: dict[str, Any], folder: Path, resolved: Resolved
) -> dict[str, Any]:
    for key, option in pipeline.options.model_fields.items():
        if option.is_required() and key not in values:
            raise UsageError(f"{where}.{key} is needed by the pipeline {pipeline.name}")
    corpus = values.get("corpus")
    if isinstance(corpus, str) and corpus not in resolved.config.corpora and (folder / corpus).exists():
        values["corpus"] = str(folder / corpus)
    return validate(pipeline.options, values, prefix=where).model_dump(mode="json")


def _check_request(where: str, options: Mapping[str, Any], context: Context) -> None:
    corpus, arch = options.get("corpus"), options.get("arch")
    if isinstance(corpus, str):
        _at(f"{where}.corpus", lambda: context.corpus(corpus))
        if isinstance(arch, str):
            _at(where, lambda: check(context, corpus, arch))


def _check_cron(where: str, schedule: Schedule) -> None:
    """Validate the cron line with Prefect's parser; one that never comes due would stop its scheduler for all."""
    if schedule.cron is None:
        return
    from prefect.server.schemas.schedules import CronSchedule

    try:
        due = asyncio.run(CronSchedule(cron=schedule.cron, timezone=schedule.timezone).get_dates(1))
    except Exception as error:
        raise UsageError(
            f'{where}: {schedule.cron!r} is not a cron line that ever comes due; write it as in "0 3 * * *"'
        ) from error
    if not due:
        raise UsageError(f"{where}: {schedule.cron!r} never comes due")


def _at(where: str, work: Any) -> Any:
    """The result of `work`; errors are prefixed with the key that caused them."""
    try:
        return work()
    except UsageError as error:
        text = str(error)
        raise UsageError(text if text.startswith("deployments.") else f"{where}: {text}") from error
    except CharpipeError as error:
        raise type(error)(f"{where}: {error}") from error
