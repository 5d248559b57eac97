"""The configurations of a comparison, as values: every architecture in every size, depth and seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One training: `size` and `layers` are None where the architecture has no such setting."""

    arch: str
    size: int | None
    layers: int | None
    seed: int

    @property
    def title(self) -> str:
        """`lstm 1x128`, the same for all seeds."""
        return self.arch if self.size is None else f"{self.arch} {self.layers}x{self.size}"


def cells(
    archs: Sequence[str],
    sized: Sequence[str],
    sizes: Sequence[int],
    layers: Sequence[int],
    seeds: Sequence[int],
) -> list[Cell]:
    """All configurations, seeds innermost; architectures that are not in `sized` take part once, without seeds."""
    made: list[Cell] = []
    for arch in archs:
        if arch not in sized:
            made.append(Cell(arch, None, None, seeds[0]))
            continue
        made += [Cell(arch, size, depth, seed) for size in sizes for depth in layers for seed in seeds]
    return made
