"""The settings of an experiment: those of 2015, and over them what was asked for with this command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from charpipe.config import resolve_corpus
from charpipe.events import Event, Listener, StagesPlanned
from charpipe.stages import Context
from charpipe_2015.plan import Share, mlflow_experiment, requested


def experiment_context(context: Context, share: Share) -> tuple[Context, str]:
    """The context with the settings of an experiment, overridden by flags, `--set` and preset; and the name of its
    corpus there."""
    experiment, config, asked = share.experiment, context.config, requested(context)
    corpus, wanted = _corpus(context, share)
    train = {key: value for key, value in experiment.train.items() if f"train.{key}" not in asked}
    if share.budget is not None:
        train |= {"steps": None, "budget": share.budget}
    changes = {
        "corpus": corpus,
        "train": config.train.model_copy(update=train),
        "architectures": _tables(context, share),
        "tracking": config.tracking.model_copy(update={"experiment": mlflow_experiment(context)}),
    }
    resolved = replace(context.resolved, config=config.model_copy(update=changes))
    resolve_corpus(resolved.config, wanted)
    return replace(context, resolved=resolved, emit=_named(context.emit, experiment.corpus)), wanted


def _corpus(context: Context, share: Share) -> tuple[dict[str, Any], str]:
    """The settings of the text, and its name: the file's path if only that is known."""
    experiment, config = share.experiment, context.config
    settings = {**experiment.corpus_settings, **config.corpus}
    if share.path is None:
        return settings, experiment.corpus
    place = share.path if "://" in share.path else str(Path(share.path).absolute())
    name = experiment.corpus if experiment.corpus in config.corpora else place
    return {**settings, "sources": [place]}, name


def _tables(context: Context, share: Share) -> dict[str, dict[str, Any]]:
    """The settings by architecture."""
    asked, tables = requested(context), dict(context.config.architectures)
    for arch, table in share.experiment.tables.items():
        given = dict(tables.get(arch, {}))
        kept = {key: value for key, value in given.items() if f"architectures.{arch}.{key}" in asked}
        tables[arch] = {**given, **table, **kept}
    return tables


def _named(listener: Listener, corpus: str) -> Listener:
    """Emit stage events under a name that includes their text."""

    def emit(event: Event) -> None:
        changes: dict[str, Any] = {}
        if isinstance(event, StagesPlanned):
            changes = {"stages": tuple(f"{corpus} {stage}" for stage in event.stages)}
        elif hasattr(event, "stage"):
            changes = {"stage": f"{corpus} {event.stage}"}
        listener(replace(event, **changes))

    return emit
