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
        self._shortest = self._of_no_context()

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
        probabilities = (
            self._of_one_context(context.numpy()[:, 0])[None]
            if batch == 1
            else self._distribution(context.numpy())
        )
        with np.errstate(divide="ignore"):
            logits = torch.from_numpy(np.log(probabilities).astype(np.float32))
        return logits, {"context": context}

    def score(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """ids int64 [T + 1, B] -> nats float32 [T, B] of ids[1:], and the state that has read ids[:-1]."""
        ids = ids.cpu()
        read = torch.cat([state["context"].cpu(), ids[:-1]]).numpy()
        targets = ids[1:].numpy()
        steps = len(targets)
        # row `-1 - back` of every character's context, back = 0 the nearest, for all of them at once
        rows = [read[self._length - back :][:steps].ravel() for back in range(self._length)]
        probabilities = self._probabilities(rows, targets.ravel()).reshape(targets.shape)
        with np.errstate(divide="ignore"):
            nats = torch.from_numpy(-np.log(probabilities).astype(np.float32))
        return nats, {"context": torch.from_numpy(read[steps:].copy())}

    def _read(self, context: Tensor, ids: Tensor) -> Tensor:
        return torch.cat([context, ids])[len(ids) :] if self._length else context

    def _probabilities(self, rows: list[Array], targets: Array) -> Array:
        """float64 [Q]: the probability of each target after its context, whose k-th last character is rows[k - 1]."""
        tables = self._tables
        search = ContextSearch(tables, len(targets))
        probabilities: Array = (
            self._weight(search.nodes, targets) + tables.backoff[search.nodes] / self.vocabulary_size
        )
        for back, row in enumerate(rows):
            search.extend(row, back + 1)
            queries, expected, discount = search.single
            probabilities[queries] = discount * probabilities[queries] + (1 - discount) * (
                expected == targets[queries]
            )
            queries, nodes = search.queries, search.nodes
            probabilities[queries] = (
                self._weight(nodes, targets[queries]) + tables.backoff[nodes] * probabilities[queries]
            )
            search.leave_tree()
        return probabilities

    def _weight(self, nodes: Array, tokens: Array) -> Array:
        """What each node's entry for each token weighs, 0 where there is none."""
        tables = self._tables
        found = find(tables.entry_token, tables.entry_start, nodes, tokens)
        weight: Array = np.where(found < 0, 0.0, tables.entry_weight[found])
        return weight

    def _distribution(self, context: Array) -> Array:
        """float64 [B, V] of probabilities after each column of `context` [order - 1, B]."""
        batch = context.shape[1]
        probabilities = np.full((batch, self.vocabulary_size), 1 / self.vocabulary_size)
        search = ContextSearch(self._tables, batch)
        self._mix(probabilities, search)
        for back in range(1, self._length + 1):
            search.extend(context[-back], back)
            queries, expected, discount = search.single
            probabilities[queries] *= discount
            probabilities[queries, expected] += 1 - discount
            self._mix(probabilities, search)
            search.leave_tree()
            if search.ended:
                break
        return probabilities

    def _of_no_context(self) -> Array:
        """float64 [V] of probabilities after nothing at all."""
        probabilities = np.full((1, self.vocabulary_size), 1 / self.vocabulary_size)
        self._mix(probabilities, ContextSearch(self._tables, 1))
        plain: Array = probabilities[0]
        return plain

    def _of_one_context(self, context: Array) -> Array:
        """The same for one context [order - 1], float64 [V]: without what many queries need."""
        tables, probabilities, node = self._tables, self._shortest.copy(), 0
        leaf = -1
        for back, token in enumerate(context[::-1].tolist(), 1):
            if leaf >= 0:
                if leaf < back or tables.text[leaf - back] != token:
                    break
                discount = float(tables.discount[back])
                probabilities *= discount
                probabilities[tables.text[leaf]] += 1 - discount
                continue
            first, end = tables.child_start[node : node + 2].tolist()
            node = first + int(tables.child_token[first:end].searchsorted(token)) if token >= 0 else end
            if node == end or tables.child_token[node] != token:
                break
            first, end = tables.entry_start[node : node + 2].tolist()
            probabilities *= tables.backoff[node]
            probabilities[tables.entry_token[first:end]] += tables.entry_weight[first:end]
            leaf = int(tables.place[node])
        return probabilities

    def _mix(self, probabilities: Array, search: ContextSearch) -> None:
        """Lay the entries of the nodes that the queries are at over what shorter contexts say."""
        tables, queries, nodes = self._tables, search.queries, search.nodes
        first = tables.entry_start[nodes].astype(np.int64)
        counts = tables.entry_start[nodes + 1] - first
        places = np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        probabilities[queries] *= tables.backoff[nodes, None]
        probabilities[np.repeat(queries, counts), tables.entry_token[places]] += tables.entry_weight[places]


class ContextSearch:
    """Looks many contexts (queries) up in the tree together, one character further back at a time.

    `queries` are at inner nodes or came to a leaf just now, `nodes` says where. Those that passed a leaf follow the
    text: `single` are these queries, the token that followed there, and the discount of such a context.
    """

    def __init__(self, tables: Tables, count: int) -> None:
        self._tables = tables
        self.queries = np.arange(count)
        self.nodes = np.zeros(count, np.int64)
        self._on, self._places = np.empty(0, np.int64), np.empty(0, np.int64)
        self.single: tuple[Array, Array, float] = (self._on, self._on, 0.0)
        self.leave_tree()

    def extend(self, row: Array, back: int) -> None:
        """Read each query's character `back` places before; queries whose context was never seen drop out."""
        tables = self._tables
        at = self._places - back
        same = (at >= 0) & (tables.text[np.maximum(at, 0)] == row[self._on])
        self._on, self._places = self._on[same], self._places[same]
        self.single = (self._on, tables.text[self._places], float(tables.discount[back]))
        nodes = find(tables.child_token, tables.child_start, self.nodes, row[self.queries])
        self.queries, self.nodes = self.queries[nodes >= 0], nodes[nodes >= 0]

    def leave_tree(self) -> None:
        """Let those that came to a leaf follow the text from now on."""
        place = self._tables.place[self.nodes].astype(np.int64)
        leaf = place >= 0
        self._on = np.concatenate([self._on, self.queries[leaf]])
        self._places = np.concatenate([self._places, place[leaf]])
        self.queries, self.nodes = self.queries[~leaf], self.nodes[~leaf]

    @property
    def ended(self) -> bool:
        """Whether no context was seen as far back as this."""
        return not (len(self.queries) or len(self._on))


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
