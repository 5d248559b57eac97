"""References to champions: `champion:CORPUS`, or `previous:CORPUS` for the one before it."""

from __future__ import annotations

from typing import NamedTuple

ALIASES = ("champion", "previous")
"""The aliases, also used in MLflow's registry."""


class ChampionReference(NamedTuple):
    """An alias, and the corpus as typed."""

    alias: str
    corpus: str


def parse_reference(wanted: str) -> ChampionReference | None:
    """The parts of `champion:CORPUS` or `previous:CORPUS`; None for any other name."""
    alias, colon, corpus = wanted.partition(":")
    return ChampionReference(alias, corpus) if colon and alias in ALIASES else None


def corpus_of(wanted: str) -> str:
    """The corpus of `CORPUS` or `champion:CORPUS`."""
    reference = parse_reference(wanted)
    return wanted if reference is None or reference.alias != "champion" else reference.corpus
