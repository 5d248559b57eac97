"""The request of a sweep, checked before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from charpipe.errors import UsageError
from charpipe.stages import Context
from charpipe.sweeps.settings import check_not_set, checked_value, settings_of
from charpipe.sweeps.space import MOST_POINTS, Dimension, parse_space
from charpipe.sweeps.sweep import Sampler

DEFAULT_TRIALS = 20


def space_of(context: Context, arch: str, texts: Sequence[str]) -> tuple[Dimension, ...]:
    """The search space. Raises UsageError if a setting is unknown, its values are invalid, or the command sets it."""
    known = settings_of(context, arch)
    space = parse_space(texts, known, lambda key, value: checked_value(context, arch, key, value))
    check_not_set(context, tuple(dimension.key for dimension in space))
    return space


def check_trials(space: Sequence[Dimension], sampler: Sampler, trials: int | None) -> int:
    """How many trials to make: those asked for; of a grid all, if none were asked for. Raises UsageError."""
    if sampler != "grid":
        return DEFAULT_TRIALS if trials is None else trials
    size = prod(len(dimension.points()) for dimension in space)
    if size > MOST_POINTS:
        raise UsageError(f"the grid has {size:,} points; use --sampler tpe, or a smaller space")
    return size if trials is None else min(trials, size)
