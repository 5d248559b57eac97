"""A trained network as a predictor: without gradients and dropout."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from charpipe.models.contract import State, check_ids
from charpipe.models.engine.selection import choose_recorder, choose_scorer
from charpipe.models.precision import Precision, autocast
from charpipe.models.resets import forward_in_documents

Scorer = Callable[[Tensor, State], tuple[Tensor, State]]
Recorder = Callable[[Tensor, State], tuple[State, State]]
"""ids int64 [T, B], state -> the states after each of them, [layers, T, B, ...] by name, and the last."""


class NetworkPredictor:
    """`step` and `score` of any module that follows the model contract, on the device of its weights."""

    def __init__(self, network: nn.Module, vocabulary_size: int, precision: Precision = "float32") -> None:
        self.network = network
        self.vocabulary_size = vocabulary_size
        self.precision = precision
        self.device = next(network.parameters()).device
        self._scorer: Scorer | None = None

    def initial_state(self, batch_size: int) -> State:
        """The state before any character."""
        state: State = self.network.initial_state(batch_size)  # type: ignore[operator]
        return state

    @torch.no_grad()
    def _forward(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        training = self.network.training
        self.network.eval()
        try:
            with autocast(self.device, self.precision):
                logits, state = forward_in_documents(self.network, ids.to(self.device), state)
        finally:
            self.network.train(training)
        return logits.float(), state

    def step(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """ids int64 [B] -> logits float32 [B, V] of the next character, and the state after."""
        logits, state = self._forward(ids[None], state)
        return logits[0], state

    def score(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """ids int64 [T + 1, B] -> nats float32 [T, B] of ids[1:], and the state that has read ids[:-1].

        Raises RunError if an id is not in the vocabulary.
        """
        check_ids(ids, self.vocabulary_size)
        if self._scorer is None:
            self._scorer = choose_scorer(self.network, self.device, self.precision) or self._score
        return self._scorer(ids, state)

    def recorder(self) -> Recorder | None:
        """What reads many tokens at once and gives all states between them; None where only `step` can."""
        return choose_recorder(self.network, self.device, self.precision)

    def _score(self, ids: Tensor, state: State) -> tuple[Tensor, State]:
        """Like `score`, by the network's own forward pass."""
        logits, state = self._forward(ids[:-1], state)
        targets = ids[1:].to(self.device)
        nats = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return nats.view_as(targets), state
