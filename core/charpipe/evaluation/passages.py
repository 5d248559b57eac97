"""Nats of many short texts at once, each read from the initial state: the basis of champion comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.evaluation.scores import LARGEST_LOGITS, WINDOW
from charpipe.models import Predictor

BATCH = 128


def passage_nats(
    predictor: Predictor,
    passages: Sequence[tuple[NDArray[Any], int]],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float64]:
    """Nats of each passage, float64 [passages]. A passage is `(tokens, first)`: tokens from `first` (1 or more) on
    are scored, those before it are only read. A passage's nats do not depend on the other passages."""
    found = np.zeros(len(passages))
    order = sorted(range(len(passages)), key=lambda at: len(passages[at][0]))
    done, total = 0, sum(len(tokens) for tokens, _ in passages)
    for start in range(0, len(order), BATCH):
        group = order[start : start + BATCH]
        found[group] = _side_by_side(predictor, [passages[at] for at in group])
        done += sum(len(passages[at][0]) for at in group)
        progress(done, total)
    return found


def _side_by_side(predictor: Predictor, passages: Sequence[tuple[NDArray[Any], int]]) -> NDArray[np.float64]:
    lengths = np.array([len(tokens) for tokens, _ in passages])
    firsts = np.array([first for _, first in passages])
    ids = np.zeros((int(lengths.max()), len(passages)), np.int64)
    for column, (tokens, _) in enumerate(passages):
        ids[: len(tokens), column] = tokens
    state, sums = predictor.initial_state(len(passages)), np.zeros(len(passages))
    window = max(1, min(WINDOW, LARGEST_LOGITS // (len(passages) * predictor.vocabulary_size)))
    for offset in range(0, len(ids) - 1, window):
        nats, state = predictor.score(torch.from_numpy(ids[offset : offset + window + 1]), state)
        places = np.arange(offset + 1, offset + 1 + len(nats))[:, None]
        counted = (places >= firsts[None]) & (places < lengths[None])
        sums += np.where(counted, nats.double().cpu().numpy(), 0.0).sum(0)
    return sums
