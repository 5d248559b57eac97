"""The trials of a comparison: every architecture with every size, depth and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Trial:
    """One training: `size` and `layers` are None if the architecture has no such setting, and `seed` is None if it
    uses no random numbers. A trial of a sweep has a `number`, one of a speedrun a `label`, and both have `settings` of
    their own by dotted key."""

    arch: str
    size: int | None = None
    layers: int | None = None
    seed: int | None = None
    number: int | None = None
    settings: tuple[tuple[str, Any], ...] = ()
    label: str = ""

    @property
    def title(self) -> str:
        """`lstm 1x128`, the same for all seeds; in a sweep `trial 7`, in a speedrun `fast lstm`."""
        if self.label:
            return self.label
        if self.number is not None:
            return f"trial {self.number}"
        return self.arch if self.size is None else f"{self.arch} {self.layers}x{self.size}"

    @property
    def name(self) -> str:
        """`lstm 1x128 seed 2`."""
        return (
            self.title if self.seed is None or self.number is not None else f"{self.title} seed {self.seed}"
        )


@dataclass(frozen=True)
class Comparison:
    """A resolved comparison: `name` is the same for the same request on the same content."""

    name: str
    title: str
    corpus: str
    match: str
    trials: tuple[Trial, ...]


def trials(
    archs: Sequence[str],
    sized: Sequence[str],
    sizes: Sequence[int],
    layers: Sequence[int],
    seeds: Sequence[int],
) -> list[Trial]:
    """All configurations, seeds innermost; architectures that are not in `sized` appear once, without seeds."""
    made: list[Trial] = []
    for arch in archs:
        if arch not in sized:
            made.append(Trial(arch, None, None, None))
            continue
        made += [Trial(arch, size, depth, seed) for size in sizes for depth in layers for seed in seeds]
    return made
