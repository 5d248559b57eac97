"""Dynamic evaluation (Krause, Kahembwe, Murray, Renals 2018): the model keeps training on the text it is evaluated
on.

Each segment is scored before the model trains on it, so no text is scored after it was seen. The score belongs to a
model that adapts to the text and is not comparable with that of a static model; it is always reported separately.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from charpipe.errors import UsageError
from charpipe.evaluation.scores import score
from charpipe.models import NetworkPredictor, Predictor, State
from charpipe.models.contract import detach
from charpipe.models.resets import forward_in_documents

LIMIT = 200_000
"""Tokens read from the beginning of a split, unless all of it is requested: there is only one stream."""
SEGMENT = 20
GATHERED = 1000
"""Segments of the training text over which the root mean square of each gradient element is computed."""
RATE, DECAY = 1e-3, 0.01
SMALL = 0.5
"""A fraction of the mean root mean square, added to each element's: characters that were rare in training have values
near zero, and their steps would be far too large."""


@dataclass(frozen=True)
class DynamicScores:
    """Nats per token of the adapting (`nats`) and of the static model over the same first `tokens` tokens of a split;
    `whole` if that is all of it. Bits as in `Scores`."""

    nats: float
    static_nats: float
    tokens: int
    whole: bool
    bits_per_char: float | None = None

    def metrics(self, split: str) -> dict[str, float]:
        """Separate metric names: `val/dynamic_loss`, `val/dynamic_bits_per_char`, and `val/dynamic_static_loss`, the
        loss of the same text without adaptation."""
        found = {
            f"{split}/dynamic_loss": self.nats,
            f"{split}/dynamic_bits_per_char": self.bits_per_char,
            f"{split}/dynamic_static_loss": self.static_nats,
        }
        return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}


def score_dynamically(
    predictor: Predictor,
    tokens: NDArray[Any],
    training: NDArray[Any],
    *,
    characters: int | None = None,
    rate: float = RATE,
    decay: float = DECAY,
    segment: int = SEGMENT,
    full: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> DynamicScores:
    """Score the beginning of a split (all of it if `full`) with `characters` characters, and train on each `segment`
    of tokens after scoring it; `training` is text that the model was trained on.

    The predictor's own weights do not change. Raises UsageError for a model that is not trained by gradient, and if
    either text has fewer than two tokens.
    """
    if not isinstance(predictor, NetworkPredictor):
        raise UsageError("a count-based model has no gradient to train by; leave --dynamic out")
    if len(tokens) < 2 or len(training) < 2:
        raise UsageError("dynamic evaluation needs at least two tokens to score and two that were trained on")
    length = len(tokens) - 1 if full else min(len(tokens) - 1, LIMIT)
    adapting = Adapting(predictor, training, rate, decay, segment)
    total = adapting.read(tokens[: length + 1], segment, progress)
    return DynamicScores(
        nats=total / length,
        static_nats=score(predictor, tokens[: length + 1], full=True).nats,
        tokens=length,
        whole=length == len(tokens) - 1,
        bits_per_char=total / length * len(tokens) / math.log(2) / characters if characters else None,
    )


class Adapting:
    """A copy of a network that adapts to a text: steps along the gradient, each element scaled by its root mean
    square in training, and decay toward the trained weights, faster for elements with a larger one."""

    def __init__(
        self, predictor: NetworkPredictor, training: NDArray[Any], rate: float, decay: float, segment: int
    ) -> None:
        self.network = copy.deepcopy(predictor.network).eval()
        self._device, self._rate = predictor.device, rate
        self._weights = [values for values in self.network.parameters() if values.requires_grad]
        self._learnt = [values.detach().clone() for values in self._weights]
        self._usual = self._gather(training, segment)
        sizes = sum(usual.numel() for usual in self._usual)
        mean = max(1e-30, sum(float(usual.sum()) for usual in self._usual) / sizes)
        self._back = [(decay * usual / mean).clamp(max=1.0) for usual in self._usual]
        self._least = SMALL * mean

    def read(self, tokens: NDArray[Any], segment: int, progress: Callable[[int, int], None] | None) -> float:
        """Nats of all tokens but the first; trains on each segment after scoring it."""
        state, total = self._initial(), 0.0
        for start in range(0, len(tokens) - 1, segment):
            nats, state = self._learn_from(tokens[start : start + segment + 1], state)
            total += nats
            self._follow()
            if progress is not None:
                progress(min(start + segment, len(tokens) - 1), len(tokens) - 1)
        return total

    def _initial(self) -> State:
        state: State = self.network.initial_state(1)  # type: ignore[operator]
        return state

    def _learn_from(self, tokens: NDArray[Any], state: State) -> tuple[float, State]:
        """Nats of a segment and the state after it; leaves the gradient of the segment's mean nats in place."""
        ids = torch.from_numpy(np.asarray(tokens).astype(np.int64))[:, None].to(self._device)
        self.network.zero_grad()
        with torch.backends.cudnn.flags(enabled=False):  # cuDNN has no gradients in evaluation mode
            logits, state = forward_in_documents(self.network, ids[:-1], state)
            loss = functional.cross_entropy(logits.flatten(0, 1), ids[1:].flatten())
            loss.backward()  # type: ignore[no-untyped-call]
        return loss.item() * (len(tokens) - 1), detach(state)

    def _gather(self, training: NDArray[Any], segment: int) -> list[Tensor]:
        """Root mean square of each element's gradient over segments of the training text."""
        count = min(GATHERED, max(1, (len(training) - 1) // segment))
        squares = [torch.zeros_like(values) for values in self._weights]
        state, last = self._initial(), max(0, len(training) - 1 - segment)
        for start in np.linspace(0, last, count).astype(int):
            _, state = self._learn_from(training[start : start + segment + 1], state)
            for square, values in zip(squares, self._weights, strict=True):
                if values.grad is not None:
                    square.addcmul_(values.grad, values.grad, value=1 / count)
        return [square.sqrt_() for square in squares]

    @torch.no_grad()
    def _follow(self) -> None:
        """A step along the gradient, and decay toward the trained weights."""
        for values, learnt, usual, back in zip(
            self._weights, self._learnt, self._usual, self._back, strict=True
        ):
            values.lerp_(learnt, back)
            if values.grad is not None:
                values.addcdiv_(values.grad, usual + self._least, value=-self._rate)
