"""Runs the recipes of pipelines, and prints their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from charpipe.errors import JsonResult
from charpipe.plugin import Options, Pipeline, PipelineResult, Table, resolve
from charpipe.stages.context import Context


@dataclass(frozen=True)
class DryRunResult(PipelineResult):
    """The result of a dry run that found work to do."""

    would: str


def load(pipeline: Pipeline) -> Callable[..., PipelineResult]:
    """The recipe of a pipeline; importing it registers the stages it calls."""
    return resolve(pipeline.recipe)


def check_request(pipeline: Pipeline, options: Options, context: Context) -> None:
    """Raise if a request is invalid, before anything starts."""
    if pipeline.check is not None:
        resolve(pipeline.check)(context, options)


def run(pipeline: Pipeline, options: Options, context: Context) -> PipelineResult:
    """Run a recipe as `charpipe run` does: by the runner that a plugin provides, or else directly."""
    runners = context.registry.all("runner").values()
    for runner in runners:
        found: PipelineResult = resolve(runner.run)(pipeline, options, context)
        return found
    return run_directly(pipeline, options, context)


def run_directly(pipeline: Pipeline, options: Options, context: Context) -> PipelineResult:
    """Check a request, and run the recipe with the context's executor."""
    check_request(pipeline, options, context)
    return load(pipeline)(context, options)


def title_of(pipeline: Pipeline, options: Options) -> str:
    """A short description of a request."""
    return pipeline.name if pipeline.title is None else str(resolve(pipeline.title)(options))


def lines_of(
    pipeline: Pipeline, result: JsonResult | None, *, dry_run: bool = False
) -> Iterator[str | Table]:
    """The lines and tables printed at the end of a pipeline."""
    if result is not None and not isinstance(result, DryRunResult):
        show: Callable[..., Iterable[str | Table]] = (
            _fields if pipeline.show is None else resolve(pipeline.show)
        )
        yield from show(result, dry_run=dry_run)
    if dry_run:
        yield "\nNothing was done (--dry-run)."


def _fields(result: Any, *, dry_run: bool) -> Iterator[str]:
    """The default lines, for a pipeline that does not define its own."""
    for key, value in result.to_json().items():
        yield f"  {key:<9} {value}"
