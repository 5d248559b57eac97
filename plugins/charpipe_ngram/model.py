"""The predictor over the tables: walks from the root of the tree to the longest context that was seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charpipe.models import State
from charpipe_ngram.tables import Tables

Array = NDArray[Any]
NOTHING = -1
"""What lies before the beginning of a text."""


class NgramPredictor:
    """Keeps the predictor's contract on the CPU. Its state is `context`, int64 [order - 1, B]: the last tokens."""

    def __init__(self, tables: Tables, vocabulary_size: int) -> None:
        self._tables = tables
        self._length = len(tables.discount) - 1
        self.vocabulary_size = vocabulary_size
        self._shortest = self._plain()

    @property
    def parameters(self) -> int:
        """Different n-grams, of all orders, that are kept with a number of their own."""
        return len(self._tables.entry_weight)

    def tensors(self) -> dict[str, Tensor]:
        """The tables."""
        return self._tables.tensors()

    def initial_state(self, batch_size: int) -> State:
        """The state before any character."""
        return {"context": torch.full((self._length, batch_size), NOTHING)}

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """ids int64 [B] -> log-probabilities float32 [B, V] of the next character, and the state after."""
        context = self._read(state["context"].cpu(), ids.cpu()[None])
        batch = context.shape[1]
        chances = (
            self._alone(context.numpy()[:, 0])[None] if batch == 1 else self._distribution(context.numpy())
        )
        with np.errstate(divide="ignore"):
            logits = torch.from_numpy(np.log(chances).astype(np.float32))
        return logits, {"context": context}

    def score(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """ids int64 [T + 1, B] -> nats float32 [T, B] of ids[1:], and the state that has read ids[:-1]."""
        ids = ids.cpu()
        read = torch.cat([state["context"].cpu(), ids[:-1]]).numpy()
        targets = ids[1:].numpy()
        steps = len(targets)
        # row `-1 - back` of every character's context, back = 0 the nearest, for all of them at once
        rows = [read[self._length - back :][:steps].ravel() for back in range(self._length)]
        chances = self._chances(rows, targets.ravel()).reshape(targets.shape)
        with np.errstate(divide="ignore"):
            nats = torch.from_numpy(-np.log(chances).astype(np.float32))
        return nats, {"context": torch.from_numpy(read[steps:].copy())}

    def _read(self, context: Tensor, ids: Tensor) -> Tensor:
        return torch.cat([context, ids])[len(ids) :] if self._length else context

    def _chances(self, rows: list[Array], targets: Array) -> Array:
        """float64 [Q]: the probability of each target after its context, whose k-th last character is rows[k - 1]."""
        tables = self._tables
        walk = Walk(tables, len(targets))
        chances: Array = self._weight(walk.nodes, targets) + tables.backoff[walk.nodes] / self.vocabulary_size
        for back, row in enumerate(rows):
            walk.go(row, back + 1)
            lanes, expected, discount = walk.single
            chances[lanes] = discount * chances[lanes] + (1 - discount) * (expected == targets[lanes])
            lanes, nodes = walk.lanes, walk.nodes
            chances[lanes] = self._weight(nodes, targets[lanes]) + tables.backoff[nodes] * chances[lanes]
            walk.settle()
        return chances

    def _weight(self, nodes: Array, tokens: Array) -> Array:
        """What each node's entry for each token weighs, 0 where there is none."""
        tables = self._tables
        found = find(tables.entry_token, tables.entry_start, nodes, tokens)
        weight: Array = np.where(found < 0, 0.0, tables.entry_weight[found])
        return weight

    def _distribution(self, context: Array) -> Array:
        """float64 [B, V] of probabilities after each column of `context` [order - 1, B]."""
        batch = context.shape[1]
        chances = np.full((batch, self.vocabulary_size), 1 / self.vocabulary_size)
        walk = Walk(self._tables, batch)
        self._mix(chances, walk)
        for back in range(1, self._length + 1):
            walk.go(context[-back], back)
            lanes, expected, discount = walk.single
            chances[lanes] *= discount
            chances[lanes, expected] += 1 - discount
            self._mix(chances, walk)
            walk.settle()
            if walk.ended:
                break
        return chances

    def _plain(self) -> Array:
        """float64 [V] of probabilities after nothing at all."""
        chances = np.full((1, self.vocabulary_size), 1 / self.vocabulary_size)
        self._mix(chances, Walk(self._tables, 1))
        plain: Array = chances[0]
        return plain

    def _alone(self, context: Array) -> Array:
        """The same for one context [order - 1], float64 [V]: without what many lanes need."""
        tables, chances, node = self._tables, self._shortest.copy(), 0
        leaf = -1
        for back, token in enumerate(context[::-1].tolist(), 1):
            if leaf >= 0:
                if leaf < back or tables.text[leaf - back] != token:
                    break
                discount = float(tables.discount[back])
                chances *= discount
                chances[tables.text[leaf]] += 1 - discount
                continue
            first, end = tables.child_start[node : node + 2].tolist()
            node = first + int(tables.child_token[first:end].searchsorted(token)) if token >= 0 else end
            if node == end or tables.child_token[node] != token:
                break
            first, end = tables.entry_start[node : node + 2].tolist()
            chances *= tables.backoff[node]
            chances[tables.entry_token[first:end]] += tables.entry_weight[first:end]
            leaf = int(tables.place[node])
        return chances

    def _mix(self, chances: Array, walk: Walk) -> None:
        """Lay the entries of the nodes that the lanes are at over what shorter contexts say."""
        tables, lanes, nodes = self._tables, walk.lanes, walk.nodes
        first = tables.entry_start[nodes].astype(np.int64)
        counts = tables.entry_start[nodes + 1] - first
        places = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        chances[lanes] *= tables.backoff[nodes, None]
        chances[np.repeat(lanes, counts), tables.entry_token[places]] += tables.entry_weight[places]


class Walk:
    """Many lanes that go down the tree together, one character further back at a time.

    `lanes` are at inner nodes or came to a leaf just now, `nodes` says where. Those that passed a leaf follow the
    text: `single` are these lanes, the token that followed there, and the discount of such a context.
    """

    def __init__(self, tables: Tables, count: int) -> None:
        self._tables = tables
        self.lanes = np.arange(count)
        self.nodes = np.zeros(count, np.int64)
        self._on, self._places = np.empty(0, np.int64), np.empty(0, np.int64)
        self.single: tuple[Array, Array, float] = (self._on, self._on, 0.0)
        self.settle()

    def go(self, row: Array, back: int) -> None:
        """Read each lane's character `back` places before; lanes whose context was never seen drop out."""
        tables = self._tables
        at = self._places - back
        same = (at >= 0) & (tables.text[np.maximum(at, 0)] == row[self._on])
        self._on, self._places = self._on[same], self._places[same]
        self.single = (self._on, tables.text[self._places], float(tables.discount[back]))
        nodes = find(tables.child_token, tables.child_start, self.nodes, row[self.lanes])
        self.lanes, self.nodes = self.lanes[nodes >= 0], nodes[nodes >= 0]

    def settle(self) -> None:
        """Let those that came to a leaf follow the text from now on."""
        place = self._tables.place[self.nodes].astype(np.int64)
        leaf = place >= 0
        self._on = np.concatenate([self._on, self.lanes[leaf]])
        self._places = np.concatenate([self._places, place[leaf]])
        self.lanes, self.nodes = self.lanes[~leaf], self.nodes[~leaf]

    @property
    def ended(self) -> bool:
        """Whether no lane goes on."""
        return not (len(self.lanes) or len(self._on))


def find(tokens: Array, starts: Array, nodes: Array, wanted: Array) -> Array:
    """int64 [Q]: where in its node's part of `tokens`, which is sorted, each wanted token is, or -1."""
    low, end = starts[nodes].astype(np.int64), starts[nodes + 1].astype(np.int64)
    high = end.copy()
    while (low < high).any():
        middle = (low + high) >> 1
        less = (low < high) & (tokens[np.minimum(middle, len(tokens) - 1)] < wanted)
        high = np.where(less, high, np.minimum(high, middle))
        low = np.where(less, middle + 1, low)
    there = low < end
    there[there] = tokens[low[there]] == wanted[there]
    return np.where(there, low, -1)
