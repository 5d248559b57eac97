"""What is to be compared, settled before anything is trained: the configurations, and the widths that match."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from charpipe.comparison.matching import match_parameters
from charpipe.comparison.trials import Cell, Comparison, cells
from charpipe.config.validation import validate
from charpipe.errors import UsageError
from charpipe.events import StagesPlanned
from charpipe.plugin import ArchitectureConfig
from charpipe.stages import Context, Made, stage
from charpipe.store import digest_of_json

Match = Literal["parameters", "units", "time"]
LONGEST_NAME = 60


@stage("match", "Settle the configurations, and solve for their widths.")
def settle(
    context: Context,
    corpus: str,
    archs: Sequence[str],
    sizes: Sequence[int],
    layers: Sequence[int],
    seeds: int,
    match: Match,
    tokens: Made,
) -> Comparison:
    """The trainings of a comparison. With `match` "parameters" every width is solved for so that it has as many
    parameters as the first architecture has at the size that was asked for; with "time" each trains for the budget.

    Raises UsageError for an unknown architecture, and for "time" with a fixed number of steps.
    """
    check_match(context, match)
    sized = [arch for arch in archs if is_sized(context, arch)]
    first = context.config.train.seed
    asked = cells(archs, sized, sizes, layers, [first + number for number in range(seeds)])
    if match == "parameters" and sized:
        letters = int(tokens.facts["vocabulary_size"])
        known: dict[tuple[str, int, int], int] = {}
        asked = [_matched(context, cell, sized[0], letters, known) for cell in asked]
    context.emit(StagesPlanned(tuple(cell.name for cell in asked)))
    name, _ = context.corpus(corpus)
    title = ", ".join(archs)
    return Comparison(_name(context, name, archs, asked, match, tokens), title, name, match, tuple(asked))


def check_match(context: Context, match: str) -> None:
    """Raise UsageError where `match` contradicts the settings of training."""
    if match == "time" and context.config.train.steps is not None:
        raise UsageError(
            "--match time trains each for the same time, and the number of steps is fixed; "
            "type --budget 2m instead of --steps"
        )


def is_sized(context: Context, arch: str) -> bool:
    """Whether an architecture has units and layers. Raises UsageError for an unknown one."""
    return issubclass(context.registry.architecture(arch).config, ArchitectureConfig)


def configured(context: Context, cell: Cell) -> Context:
    """The same context, with the settings of this cell."""
    config = context.config
    tables = {**config.architectures, cell.arch: _table(context, cell)}
    train = config.train if cell.seed is None else config.train.model_copy(update={"seed": cell.seed})
    config = config.model_copy(update={"architectures": tables, "train": train})
    return dataclasses.replace(context, resolved=dataclasses.replace(context.resolved, config=config))


def _table(context: Context, cell: Cell) -> dict[str, Any]:
    table = dict(context.config.architectures.get(cell.arch, {}))
    return table if cell.size is None else table | {"hidden_size": cell.size, "layers": cell.layers}


def _matched(
    context: Context, cell: Cell, reference: str, letters: int, known: dict[tuple[str, int, int], int]
) -> Cell:
    if cell.size is None or cell.layers is None or cell.arch == reference:
        return cell
    key = (cell.arch, cell.size, cell.layers)
    if key not in known:
        wanted = _count(context, dataclasses.replace(cell, arch=reference), letters)

        def count(size: int) -> int:
            return _count(context, dataclasses.replace(cell, size=size), letters)

        found = match_parameters(wanted, count)
        known[key] = found.size
        context.notice(
            f"{cell.arch} {cell.layers}x{found.size} has {found.parameters:,} parameters "
            f"({found.residual:+,} against {reference} {cell.layers}x{cell.size})"
        )
    return dataclasses.replace(cell, size=known[key])


def _count(context: Context, cell: Cell, letters: int) -> int:
    """Parameters, counted without memory for any of them."""
    import torch

    from charpipe.models.model import build_network
    from charpipe.models.shell import parameter_count

    spec = context.registry.architecture(cell.arch)
    config: Any = validate(spec.config, _table(context, cell), f"architectures.{cell.arch}")
    with torch.device("meta"):
        return parameter_count(build_network(spec, config, letters))


def _name(
    context: Context, corpus: str, archs: Sequence[str], asked: Sequence[Cell], match: str, tokens: Made
) -> str:
    """`tiny_shakespeare-rnn-lstm-gru-7f3a1c`."""
    settings: Mapping[str, Any] = context.config.train.model_dump(mode="json")
    digest = digest_of_json(
        {
            "tokens": tokens.digest,
            "cells": [dataclasses.asdict(cell) | {"table": _table(context, cell)} for cell in asked],
            "match": match,
            "train": settings,
        }
    )
    return f"{'-'.join([corpus, *archs])[:LONGEST_NAME]}-{digest[:6]}"
