"""Determine the configurations of a comparison, and their matching widths, before anything is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch

from charpipe.comparison.matching import match_parameters
from charpipe.comparison.trials import Comparison, Trial, trials
from charpipe.config.layers import Layers, expand
from charpipe.config.schema import Config
from charpipe.config.validation import validate
from charpipe.errors import UsageError
from charpipe.events import StagesPlanned
from charpipe.models.model import build_network
from charpipe.models.shell import parameter_count
from charpipe.plugin import ArchitectureConfig
from charpipe.stages import Context, StageOutput, stage
from charpipe.store import digest_of_json

Match = Literal["parameters", "units", "time"]
LONGEST_NAME = 60


@stage("match", "Determine the configurations, and solve for their widths.")
def plan_comparison(
    context: Context,
    corpus: str,
    archs: Sequence[str],
    sizes: Sequence[int],
    layers: Sequence[int],
    seeds: int,
    match: Match,
    tokens: StageOutput,
) -> Comparison:
    """The trials of a comparison. With `match` "parameters", every width is chosen to give as many parameters as the
    first architecture has at the requested size; with "time", each trains for the budget.

    Raises UsageError for an unknown architecture, and for "time" with a fixed number of steps.
    """
    check_match(context, match)
    sized = [arch for arch in archs if is_sized(context, arch)]
    first = context.config.train.seed
    asked = trials(archs, sized, sizes, layers, [first + number for number in range(seeds)])
    if match == "parameters" and sized:
        letters = int(tokens.facts["vocabulary_size"])
        known: dict[tuple[str, int, int], int] = {}
        asked = [_matched(context, trial, sized[0], letters, known) for trial in asked]
    context.emit(StagesPlanned(tuple(trial.name for trial in asked)))
    name, _ = context.corpus(corpus)
    title = ", ".join(archs)
    return Comparison(_name(context, name, archs, asked, match, tokens), title, name, match, tuple(asked))


def check_match(context: Context, match: str) -> None:
    """Raise UsageError if `match` contradicts the training settings."""
    if match == "time" and context.config.train.steps is not None:
        raise UsageError(
            "--match time trains each for the same time, and the number of steps is fixed; "
            "type --budget 2m instead of --steps"
        )


def is_sized(context: Context, arch: str) -> bool:
    """Whether an architecture has units and layers. Raises UsageError for an unknown architecture."""
    return issubclass(context.registry.architecture(arch).config, ArchitectureConfig)


def configured(context: Context, trial: Trial) -> Context:
    """A copy of the context with the settings of this trial. Raises UsageError if they do not fit together."""
    config = context.config
    if trial.settings:
        own = dict(trial.settings)
        origin = trial.label or "--space"
        origins = {**context.resolved.origins, **dict.fromkeys(own, origin)}
        config = with_settings(config, own, origin)
        resolved = dataclasses.replace(context.resolved, config=config, origins=origins)
        return dataclasses.replace(context, resolved=resolved)
    tables = {**config.architectures, trial.arch: _table(context, trial)}
    train = config.train if trial.seed is None else config.train.model_copy(update={"seed": trial.seed})
    config = config.model_copy(update={"architectures": tables, "train": train})
    return dataclasses.replace(context, resolved=dataclasses.replace(context.resolved, config=config))


def with_settings(config: Config, settings: Mapping[str, Any], origin: str = "--space") -> Config:
    """The settings with these, by dotted key, on top. Raises UsageError, which names their `origin`, if one is
    invalid."""
    layers = Layers()
    layers.lay("", config.model_dump(exclude_unset=True))
    layers.lay(origin, expand(settings))
    return validate(Config, layers.values, origins=layers.origins)


def _table(context: Context, trial: Trial) -> dict[str, Any]:
    table = dict(context.config.architectures.get(trial.arch, {}))
    return table if trial.size is None else table | {"hidden_size": trial.size, "layers": trial.layers}


def _matched(
    context: Context, trial: Trial, reference: str, letters: int, known: dict[tuple[str, int, int], int]
) -> Trial:
    if trial.size is None or trial.layers is None or trial.arch == reference:
        return trial
    key = (trial.arch, trial.size, trial.layers)
    if key not in known:
        wanted = _count(context, dataclasses.replace(trial, arch=reference), letters)

        def count(size: int) -> int:
            return _count(context, dataclasses.replace(trial, size=size), letters)

        found = match_parameters(wanted, count)
        known[key] = found.size
        context.notice(
            f"{trial.arch} {trial.layers}x{found.size} has {found.parameters:,} parameters "
            f"({found.residual:+,} against {reference} {trial.layers}x{trial.size})"
        )
    return dataclasses.replace(trial, size=known[key])


def _count(context: Context, trial: Trial, letters: int) -> int:
    """The number of parameters, counted without allocating them."""
    spec = context.registry.architecture(trial.arch)
    config: Any = validate(spec.config, _table(context, trial), f"architectures.{trial.arch}")
    with torch.device("meta"):
        return parameter_count(build_network(spec, config, letters))


def _name(
    context: Context,
    corpus: str,
    archs: Sequence[str],
    asked: Sequence[Trial],
    match: str,
    tokens: StageOutput,
) -> str:
    """`tiny_shakespeare-rnn-lstm-gru-7f3a1c`."""
    settings: Mapping[str, Any] = context.config.train.identity()
    digest = digest_of_json(
        {
            "tokens": tokens.digest,
            "cells": [_facts(trial) | {"table": _table(context, trial)} for trial in asked],
            "match": match,
            "train": settings,
        }
    )
    return f"{'-'.join([corpus, *archs])[:LONGEST_NAME]}-{digest[:6]}"


def _facts(trial: Trial) -> dict[str, Any]:
    return {"arch": trial.arch, "size": trial.size, "layers": trial.layers, "seed": trial.seed}
