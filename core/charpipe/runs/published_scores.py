"""Published test scores of the benchmark corpora, each with its paper.

Only recurrent networks and what they are compared with; scores of the test split, without dynamic evaluation. Those of
ptb-char, text8 and enwik8 are as in the tables of NLP-progress, and were not checked against the papers themselves.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class PublishedScore:
    """A published model: bits per token of the test text (a character, or a byte where the corpus is read in bytes),
    its parameters (None: not known), and the source."""

    name: str
    parameters: int | None
    bits: float
    source: str


IN_BYTES = frozenset({"enwik8", "war-and-peace"})
"""Benchmarks whose tokens are bytes: what the papers call bits per character is bits per byte there."""


def published_unit(corpus: str) -> str:
    """The unit of the published scores: `bits_per_byte` or `bits_per_char`."""
    return "bits_per_byte" if corpus in IN_BYTES else "bits_per_char"


def published_scores(corpus: str) -> tuple[PublishedScore, ...]:
    """The published scores of a benchmark corpus, best first; empty for others."""
    return all_scores().get(corpus, ())


@cache
def all_scores() -> Mapping[str, tuple[PublishedScore, ...]]:
    """The published scores by the name of the corpus in the built-in catalogue, best first."""
    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {corpus: tuple(_score(**one) for one in scores) for corpus, scores in tables.items()}


def _score(
    name: str,
    source: str,
    parameters: int | None = None,
    bits: float | None = None,
    nats: float | None = None,
) -> PublishedScore:
    """A score from the file, where it is in bits or in nats."""
    if bits is None:
        assert nats is not None, name
        bits = round(nats / math.log(2), 3)
    return PublishedScore(name, parameters, bits, source)
