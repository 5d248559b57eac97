"""`charpipe run` and `charpipe resume`: a pipeline becomes a command whose flags are its options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, get_origin

import typer

from charpipe.cli.arguments import JsonLines, Set, flag_of
from charpipe.cli.defaults import with_default
from charpipe.cli.environment import chosen, open_registry, open_runs, open_workspace
from charpipe.cli.output import printed
from charpipe.cli.workers import join, rank_0
from charpipe.config.load import BUILT_IN, Resolved, load_config
from charpipe.config.settings.training import TrainConfig
from charpipe.config.validation import FLAGS, validate
from charpipe.errors import RunError, UsageError
from charpipe.events import Notice
from charpipe.plugin import Options, Pipeline
from charpipe.plugins.registry import Registry
from charpipe.runs.changed_settings import check_settings
from charpipe.training.torchrun import follows

Preset = Annotated[str | None, typer.Option(help="A preset: a named set of settings.  [default: none]")]
Steps = Annotated[
    int | None,
    typer.Option(
        help=with_default("Updates to make.", TrainConfig, "steps", unset="as many as the budget allows"),
        min=0,
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        help="Time to train for: 90s, 2m, 1h.  "
        f"[default: the pipeline's, or for one training {TrainConfig.model_fields['budget'].default}]"
    ),
]
Device = Annotated[
    str | None, typer.Option(help=with_default("auto, cpu, cuda, cuda:N or mps.", TrainConfig, "device"))
]
Engine = Annotated[
    str | None, typer.Option(help=with_default("auto, fast, plain or cuda-graphs.", TrainConfig, "engine"))
]
Deterministic = Annotated[
    bool, typer.Option("--deterministic", help="On CUDA, the same numbers bit for bit every time.")
]
Tags = Annotated[
    list[str],
    typer.Option("--tag", metavar="TAG", help="A tag of the run, WORD or KEY=VALUE; may be repeated."),
]
Force = Annotated[
    list[str],
    typer.Option(
        "--force", metavar="STAGE", help="Run this stage even if its result exists; may be repeated."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would run, and stop.")]

COMMON: Mapping[str, tuple[Any, Any]] = {
    "preset": (Preset, None),
    "steps": (Steps, None),
    "budget": (Budget, None),
    "device": (Device, None),
    "engine": (Engine, None),
    "deterministic": (Deterministic, False),
    "tag": (Tags, []),
    "set_": (Set, []),
    "force": (Force, []),
    "dry_run": (DryRun, False),
    "json": (JsonLines, False),
}


def run_app(registry: Registry) -> typer.Typer:
    """The `run` group: one command for each pipeline."""
    app = typer.Typer(no_args_is_help=True)
    for name, pipeline in registry.all("pipeline").items():
        app.command(name, help=pipeline.summary)(_command(pipeline, registry))
    return app


def _command(pipeline: Pipeline, registry: Registry) -> Any:
    """A function whose signature lists the pipeline's options and what all pipelines share."""

    def command(**values: Any) -> None:
        shared = {name: values.pop(name) for name in COMMON}
        _run(pipeline, registry, values, **shared)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = []
    for name, field in pipeline.options.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = (
            "needed"
            if field.is_required()
            else f"default: {'none' if default in (None, '', []) else default}"
        )
        annotation: Any = field.annotation
        metavar = "TEXT" if get_origin(annotation) is list else None
        option = typer.Option(None, flag_of(name), help=f"{field.description}  [{shown}]", metavar=metavar)
        parameters.append(inspect.Parameter(name, keyword, default=option, annotation=annotation | None))
    for name, (kind, default) in COMMON.items():
        parameters.append(inspect.Parameter(name, keyword, default=default, annotation=kind))
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__name__ = pipeline.name.replace("-", "_")
    return command


def _run(
    pipeline: Pipeline,
    registry: Registry,
    values: Mapping[str, Any],
    *,
    preset: str | None,
    steps: int | None,
    budget: str | None,
    device: str | None,
    engine: str | None,
    deterministic: bool,
    tag: list[str],
    set_: list[str],
    force: list[str],
    dry_run: bool,
    json: bool,
) -> None:
    if follows():
        return join(registry)
    flags = _flags(steps, budget, device, engine)
    if deterministic:
        flags["train.deterministic"] = True
    if tag:
        flags["tracking.tags"] = tag
    resolved = load_config(pipeline=pipeline.name, preset=preset, settings=flags, overrides=set_, flags=FLAGS)
    _check_tables(resolved, registry)
    given = {key: value for key, value in values.items() if value not in (None, [])}
    options = {**resolved.options, **given}
    for name, field in pipeline.options.model_fields.items():
        if field.is_required() and name not in options:
            raise UsageError(
                f"{flag_of(name)} is needed; for all flags, type: charpipe run {pipeline.name} --help"
            )
    checked = _options(pipeline, options, resolved, frozenset(given))
    return execute(pipeline, registry, checked, resolved, force=force, dry_run=dry_run, json=json)


def _options(
    pipeline: Pipeline, values: Mapping[str, Any], resolved: Resolved, given: frozenset[str] = frozenset()
) -> Options:
    """A pipeline's options; those `given` on the command line are called by their flags where one is wrong."""
    table = f"pipelines.{pipeline.name}"
    flags = {f"{table}.{name}": flag_of(name) for name in given}
    origins = {**resolved.origins, **dict.fromkeys(flags, "flag")}
    return validate(pipeline.options, values, table, origins, flags)


def _flags(steps: int | None, budget: str | None, device: str | None, engine: str | None) -> dict[str, Any]:
    """The settings that flags of their own stand for. Raises UsageError where two contradict."""
    if steps is not None and budget is not None:
        raise UsageError("--steps and --budget both say how long to train; give one of them")
    flags = chosen(
        {"train__steps": steps, "train__budget": budget, "train__device": device, "train__engine": engine}
    )
    if budget is not None:
        flags["train.steps"] = None  # a fixed number of steps, set elsewhere, would win over it
    return flags


def _check_tables(resolved: Resolved, registry: Registry) -> None:
    """Tables named after a pipeline or an architecture must be of one, and hold only settings that it has. A built-in
    table may be of a plugin that is not installed or broken: the other pipelines work without it."""
    for name in resolved.config.pipelines:
        if not _is_built_in(resolved, f"pipelines.{name}."):
            registry.pipeline(name)
    for name, table in resolved.config.architectures.items():
        validate(registry.architecture(name).config, table, f"architectures.{name}", resolved.origins)


def _is_built_in(resolved: Resolved, prefix: str) -> bool:
    """Whether only the built-in catalogue has settings in this table."""
    origins = {origin for key, origin in resolved.origins.items() if key.startswith(prefix)}
    return origins == {BUILT_IN}


def execute(
    pipeline: Pipeline,
    registry: Registry,
    options: Options,
    resolved: Resolved,
    *,
    force: list[str],
    dry_run: bool,
    json: bool,
    resume: Any = None,
) -> None:
    """Run a pipeline in front of a person or a program, and print what came of it."""
    if not json:  # at once, before what takes seconds to import; on stderr, so that results stay apart
        typer.echo(f"starting {pipeline.name}: loading PyTorch and Prefect", err=True)
    from charpipe.cli.signals import until_done
    from charpipe.cli.views import open_view
    from charpipe.stages import Context, WouldRun
    from charpipe.stages.recipes import DryRunResult, lines_of, load, run

    load(pipeline)  # its stages are known from here on
    with (
        rank_0() as group,
        open_view(
            json=json, pipeline=pipeline.name, options=options.model_dump(), stages=pipeline.stages
        ) as view,
    ):
        context = Context(
            open_workspace(),
            resolved,
            registry,
            emit=view,
            force=frozenset(force),
            resume=resume,
            dry_run=dry_run,
            group=group,
        )
        alone = group.size == 1
        try:
            result = until_done(lambda: run(pipeline, options, context), context.stop, view, twice=alone)
        except WouldRun as would:
            view(Notice(str(would)))
            result = DryRunResult(str(would))
        except Exception as error:
            view.fail(error, printed(lines_of(pipeline, getattr(error, "result", None))))
            raise
        view.finish(result, printed(lines_of(pipeline, result, dry_run=dry_run)), dry_run=dry_run)


def resume(
    run: Annotated[
        str,
        typer.Argument(
            help="A run: name, unique prefix, short name, or `last`: the newest that can be resumed."
        ),
    ] = "last",
    steps: Annotated[
        int | None,
        typer.Option(help="Train for this many steps in all.  [default: as it was started]", min=0),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Train for this long in all, with the time already spent.  [default: as it was started]"
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.  [default: as it was started]")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="auto, fast, plain or cuda-graphs.  [default: as it was started]")
    ] = None,
    set_: Set = [],  # noqa: B006
    json: JsonLines = False,
) -> None:
    """Resume an interrupted run from its last checkpoint, with the settings it was started with.

    Steps, budget, intervals, device, precision and engine may be changed.
    """
    if follows():
        return join(open_registry())
    found = open_runs().find(run, use="resume")
    info, status = found.info, found.status
    if status.state == "finished":
        raise RunError(
            f"the run {found.name} is finished ({status.step:,} steps); type: charpipe sample {found.name}"
        )
    request, flags = info.request, _flags(steps, budget, device, engine)
    resolved = load_config(settings=info.settings | flags, overrides=set_, flags=FLAGS)
    check_settings(info, resolved.config)
    registry = open_registry()
    pipeline = registry.pipeline(request["pipeline"])
    options = _options(pipeline, request["options"], resolved)
    return execute(pipeline, registry, options, resolved, force=[], dry_run=False, json=json, resume=found)
