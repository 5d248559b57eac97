"""An architecture that is counted, as small as can be: how often each character follows each other."""

from __future__ import annotations

import numpy as np
import torch

from charpipe.plugin import Architecture, ModelConfig, Notice, StageProgress


class Pairs:
    """`table` float32 [V + 1, V]: log-probabilities after each token; the last row is for the beginning."""

    def __init__(self, table):
        self.vocabulary_size = table.shape[1]
        self.parameters = table.numel()
        self._table = table

    def initial_state(self, batch_size):
        return {"last": torch.full((1, batch_size), self.vocabulary_size)}

    def step(self, ids, state):
        return self._table[ids], {"last": ids[None].clone()}

    def score(self, ids, state):
        state = {"last": ids[-2:-1].clone()} if len(ids) > 1 else state
        return -self._table[ids[:-1], ids[1:]], state

    def tensors(self):
        return {"table": self._table}


def fit(config, vocabulary_size, tokens):
    yield Notice("counting pairs")
    table = np.ones((vocabulary_size + 1, vocabulary_size))
    for number, start in enumerate(range(0, len(tokens) - 1, 100)):
        piece = np.asarray(tokens[start : start + 101]).astype(np.int64)
        np.add.at(table, (piece[:-1], piece[1:]), 1)
        yield StageProgress("train", number, None, "pieces")
    return Pairs(torch.from_numpy(table / table.sum(1, keepdims=True)).log().float())


def restore(config, vocabulary_size, tensors):
    if set(tensors) != {"table"} or tensors["table"].shape != (vocabulary_size + 1, vocabulary_size):
        raise ValueError("there must be one table, [V + 1, V]")
    return Pairs(tensors["table"])


PAIRS = Architecture("pairs", "which character follows which", ModelConfig, fit=fit, restore=restore)
