"""Texts of random sentences from few words: a small model learns something of them within a hundred steps."""

from __future__ import annotations

import random

WORDS = [
    "the",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "a",
    "mat",
    "tree",
    "and",
    "then",
    "saw",
    "it",
    "was",
    "old",
]


def sentences(seed: int, words: int) -> str:
    chosen = random.Random(seed)
    return "".join(chosen.choice(WORDS) + chosen.choice([" ", " ", " ", ".\n"]) for _ in range(words))
