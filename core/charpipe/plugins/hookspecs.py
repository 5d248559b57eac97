"""Every hook a plugin can implement, on one screen. Mark an implementation with `charpipe.plugin.hookimpl`."""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from charpipe.events import Event
from charpipe.plugins.specs import (
    Architecture,
    Check,
    Command,
    Decoder,
    Metric,
    Pipeline,
    Runner,
    Source,
    StorageBackend,
    Tokenizer,
)

hookspec = pluggy.HookspecMarker("charpipe")


@hookspec
def charpipe_architectures() -> Iterable[Architecture]:  # type: ignore[empty-body]
    """Model families for `--arch`."""


@hookspec
def charpipe_tokenizers() -> Iterable[Tokenizer]:  # type: ignore[empty-body]
    """Ways to turn text into tokens, for a corpus's `tokenizer.name`."""


@hookspec
def charpipe_sources() -> Iterable[Source]:  # type: ignore[empty-body]
    """Places where corpora come from, for a corpus's `sources`."""


@hookspec
def charpipe_decoders() -> Iterable[Decoder]:  # type: ignore[empty-body]
    """Ways to choose the next character, for `[sample.decoders.NAME]`."""


@hookspec
def charpipe_metrics() -> Iterable[Metric]:  # type: ignore[empty-body]
    """Numbers to report while a model trains: `metrics.jsonl`, MLflow, report, terminal."""


@hookspec
def charpipe_pipelines() -> Iterable[Pipeline]:  # type: ignore[empty-body]
    """List the pipelines that `charpipe run` can run."""


@hookspec
def charpipe_runners() -> Iterable[Runner]:  # type: ignore[empty-body]
    """Who carries out the recipes of `charpipe run`."""


@hookspec
def charpipe_stores() -> Iterable[StorageBackend]:  # type: ignore[empty-body]
    """Storage that machines share, for the URL of `[store]`."""


@hookspec
def charpipe_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Commands of the command line."""


@hookspec
def charpipe_checks() -> Iterable[Check]:  # type: ignore[empty-body]
    """Parts of `charpipe doctor`."""


@hookspec
def charpipe_events(event: Event) -> None:
    """Called with every event of a run, in order, in the training process. Be quick: training does not wait long."""
