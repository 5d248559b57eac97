"""The contracts of metrics, sources and pipelines as rules; and what every spec must keep: that its names exist."""

from __future__ import annotations

import inspect
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from charpipe.errors import CorpusError
from charpipe.plugin import Facts, Fetched, Metric, Pipeline, Source, resolve

NOWHERE = "no-such-thing-anywhere"


def references(spec: Any) -> Any:
    """Import everything that the spec names by a string; returns the spec."""
    for name, reference in _references(spec):
        try:
            resolve(reference)
        except Exception as error:
            raise type(error)(f"{name}: {error}") from error
    return spec


def _references(spec: Any) -> Iterator[tuple[str, str]]:
    for field in fields(spec):
        value = getattr(spec, field.name)
        if isinstance(value, str) and field.name not in ("name", "summary", "scheme", "when", "flow"):
            yield field.name, value


def a_number(metric: Metric) -> str | None:
    """The function returns a finite number, or None where it is not known."""
    known = Facts(10, 20_480, 1.5, 2.0, 0.5, 1e-3, {"val/loss": 2.1}, {"head.weight": torch.ones(3, 2)})
    for facts in (known, Facts(10)):
        found = resolve(metric.function)(facts)
        if found is not None and not math.isfinite(float(found)):
            return f"it returned {found}"
    return None


@dataclass(frozen=True)
class _Fetcher:
    cache: Path
    sha256: str | None = None
    refresh: bool = False

    def progress(self, done: int, total: int | None) -> None:
        return


def there_answers(source: Source) -> str | None:
    """there(spec, cache) returns True or False, or raises CorpusError for what does not exist."""
    with tempfile.TemporaryDirectory() as cache:
        try:
            found = resolve(source.there)(f"{source.scheme}:{NOWHERE}", Path(cache))
        except CorpusError:
            return None
    return None if isinstance(found, bool) else f"it returned {found!r}"


def fetch_answers(source: Source) -> str | None:
    """fetch(spec, fetcher) returns None or raises CorpusError for what does not exist, and else a Fetched."""
    with tempfile.TemporaryDirectory() as cache:
        try:
            found = resolve(source.fetch)(f"{source.scheme}:{NOWHERE}", _Fetcher(Path(cache)))
        except CorpusError:
            return None
    return None if found is None or isinstance(found, Fetched) else f"it returned a {type(found).__name__}"


def takes_context_and_options(pipeline: Pipeline) -> str | None:
    """The recipe takes a context and the options."""
    count = len(inspect.signature(resolve(pipeline.recipe)).parameters)
    return None if count == 2 else f"it has {count} parameters"


def options_described(pipeline: Pipeline) -> str | None:
    """Every option says in its description what it is for: it is the help of its flag."""
    silent = [name for name, field in pipeline.options.model_fields.items() if not field.description]
    return f"{', '.join(silent)} has no description" if silent else None


METRIC_RULES = (a_number,)
SOURCE_RULES = (there_answers, fetch_answers)
PIPELINE_RULES = (takes_context_and_options, options_described)
