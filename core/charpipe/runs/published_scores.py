"""Published test scores of the benchmark corpora, each with its paper.

Only recurrent networks and what they are compared with; scores of the test split, without dynamic evaluation. They were
collected from the papers, their abstracts and later comparisons, and not each was checked against its paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

MERITY = "Merity, Keskar, Socher 2018, An Analysis of Neural Language Modeling at Multiple Scales"
MOGRIFIER = "Melis, Kocisky, Blunsom 2020, Mogrifier LSTM"
MLSTM = "Krause, Lu, Murray, Renals 2016, Multiplicative LSTM for Sequence Modelling"
HIGHWAY = "Zilly, Srivastava, Koutnik, Schmidhuber 2017, Recurrent Highway Networks"
HYPER = "Ha, Dai, Le 2016, HyperNetworks"
FAST_SLOW = "Mujika, Meier, Steger 2017, Fast-Slow Recurrent Neural Networks"
KARPATHY = "Karpathy, Johnson, Fei-Fei 2015, Visualizing and Understanding Recurrent Networks"


@dataclass(frozen=True)
class PublishedScore:
    """A published model: bits per token of the test text (a character, or a byte where the corpus is read in bytes),
    its parameters (None: not known), and the source."""

    name: str
    parameters: int | None
    bits: float
    source: str


def _of_nats(nats: float) -> float:
    return round(nats / math.log(2), 3)


SCORES: Mapping[str, tuple[PublishedScore, ...]] = {
    "ptb-char": (
        PublishedScore("Mogrifier LSTM", 24_000_000, 1.120, MOGRIFIER),
        PublishedScore("AWD-LSTM, 3 layers", 13_800_000, 1.175, MERITY),
        PublishedScore("QRNN, 6 layers", 13_800_000, 1.187, MERITY),
        PublishedScore("Fast-Slow LSTM", None, 1.19, FAST_SLOW),
        PublishedScore("HyperLSTM, 2 layers", 14_410_000, 1.219, HYPER),
    ),
    "text8": (
        PublishedScore("Mogrifier RLSTM", 96_000_000, 1.096, MOGRIFIER),
        PublishedScore("Multiplicative LSTM", 45_000_000, 1.27, MLSTM),
        PublishedScore("Recurrent Highway Network", None, 1.27, HIGHWAY),
    ),
    "enwik8": (
        PublishedScore("Mogrifier LSTM", 96_000_000, 1.122, MOGRIFIER),
        PublishedScore("AWD-LSTM, 3 layers", 47_000_000, 1.232, MERITY),
        PublishedScore("Multiplicative LSTM", 46_000_000, 1.24, MLSTM),
        PublishedScore("Recurrent Highway Network", None, 1.27, HIGHWAY),
    ),
    "war-and-peace": (
        PublishedScore("their best network", None, _of_nats(1.077), KARPATHY),
        PublishedScore("20-gram", None, _of_nats(1.195), KARPATHY),
    ),
}
"""By the name of the corpus in the built-in catalogue, best first."""


IN_BYTES = frozenset({"enwik8", "war-and-peace"})
"""Benchmarks whose tokens are bytes: what the papers call bits per character is bits per byte there."""


def published_unit(corpus: str) -> str:
    """The unit of the published scores: `bits_per_byte` or `bits_per_char`."""
    return "bits_per_byte" if corpus in IN_BYTES else "bits_per_char"


def published_scores(corpus: str) -> tuple[PublishedScore, ...]:
    """The published scores of a benchmark corpus; empty for others."""
    return SCORES.get(corpus, ())
