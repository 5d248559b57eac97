"""The constraint of a regular expression: the tokens after which the text can still match as a whole."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from charpipe.plugin import Encoding, UsageError
from charpipe_decoding import RegularExpression
from charpipe_decoding.expressions.alphabet import NEVER, Costs, alphabet, members
from charpipe_decoding.expressions.automaton import automaton

Nodes = frozenset[int]
Place = tuple[Nodes, bytes]
"""Where a text is in the expression: the nodes of the automaton, and the bytes of an unfinished character."""


def constrain(config: RegularExpression, encoding: Encoding) -> ExpressionConstraint:
    """The constraint that the options ask for."""
    return ExpressionConstraint(config.pattern, encoding)


class ExpressionConstraint:
    """The automaton over one vocabulary; its sets of nodes are computed as texts reach them.

    Raises UsageError if no text over the vocabulary matches.
    """

    def __init__(self, pattern: str, encoding: Encoding) -> None:
        self._automaton = automaton(pattern)
        self._alphabet = alphabet(encoding)
        sets = {each for edges in self._automaton.edges for each, _ in edges}
        self._members = {each: members(each, self._alphabet.text) for each in sets}
        self._distances = self._distances_to_match()
        self.start: Place = (self._closure([0]), b"")
        self.shortest = self._distance(self.start[0])
        if self.shortest >= NEVER:
            raise UsageError(
                f"no text over the model's vocabulary matches the regular expression {pattern!r}; "
                "it asks for a character that the vocabulary lacks"
            )
        self._after_characters = lru_cache(maxsize=8)(self._costs_after)
        self._token_costs = lru_cache(maxsize=4096)(self._costs_of_tokens)
        self._next = lru_cache(maxsize=65536)(self._step)

    def allowed(self, place: Place, remaining: int) -> NDArray[np.bool_]:
        """The tokens [V] after which a match is possible within `remaining` tokens, themselves included."""
        found: NDArray[np.bool_] = self._token_costs(place) <= min(remaining, NEVER - 1)
        return found

    def after(self, place: Place, token: int) -> Place:
        """The place after an allowed token."""
        return self._next(place, token)

    def complete(self, place: Place) -> bool:
        """Whether the text up to this place matches."""
        nodes, pending = place
        return not pending and self._automaton.accept in nodes

    def _closure(self, nodes: Iterable[int]) -> Nodes:
        found, waiting = set(nodes), list(nodes)
        while waiting:
            for node in self._automaton.empty[waiting.pop()]:
                if node not in found:
                    found.add(node)
                    waiting.append(node)
        return frozenset(found)

    def _distance(self, nodes: Nodes) -> int:
        return min(self._distances[node] for node in nodes)

    def _cost(self, characters: re.Pattern[str]) -> int:
        """The tokens of the shortest character of a set."""
        return int(self._alphabet.costs[self._members[characters]].min(initial=NEVER))

    def _distances_to_match(self) -> list[int]:
        """For each node the fewest tokens up to the accepting node (Dijkstra 1959, from the end)."""
        costs = {each: self._cost(each) for each in self._members}
        before: list[list[tuple[int, int]]] = [[] for _ in self._automaton.empty]
        for node, (empty, edges) in enumerate(zip(self._automaton.empty, self._automaton.edges, strict=True)):
            for target in empty:
                before[target].append((node, 0))
            for characters, target in edges:
                before[target].append((node, costs[characters]))
        found = [NEVER] * len(before)
        found[self._automaton.accept] = 0
        waiting = [(0, self._automaton.accept)]
        while waiting:
            distance, node = heapq.heappop(waiting)
            if distance > found[node]:
                continue
            for source, cost in before[node]:
                if distance + cost < found[source]:
                    found[source] = distance + cost
                    heapq.heappush(waiting, (distance + cost, source))
        return found

    def _costs_after(self, nodes: Nodes) -> Costs:
        """For each character the fewest tokens from it to a match."""
        found: Costs = np.full(len(self._alphabet.text), NEVER, np.int32)
        for node in nodes:
            for characters, target in self._automaton.edges[node]:
                mask = self._members[characters]
                found[mask] = np.minimum(found[mask], self._distances[target])
        return found

    def _costs_of_tokens(self, place: Place) -> Costs:
        nodes, pending = place
        return self._alphabet.token_costs(self._after_characters(nodes), pending)

    def _step(self, place: Place, token: int) -> Place:
        nodes, pending = place
        character, pending = self._alphabet.read(token, pending)
        if character is None:
            return nodes, pending
        targets = [
            target
            for node in nodes
            for characters, target in self._automaton.edges[node]
            if self._members[characters][character]
        ]
        return self._closure(targets), b""
