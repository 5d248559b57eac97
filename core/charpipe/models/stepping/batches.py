"""Many streams stepped together: what sampling asks for when it writes several texts at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.errors import UsageError
from charpipe.models.compiling import can_compile
from charpipe.models.contract import Predictor, State
from charpipe.models.precision import choose_precision
from charpipe.models.predictor import NetworkPredictor
from charpipe.models.shell import LanguageModel
from charpipe.models.stepping.streams import quick_network

FEWEST = 8
"""Lanes from which a core of their own is worth it."""


class Batch(Protocol):
    """A model that reads B texts side by side, and the state it carries."""

    lanes: int

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read tokens [B]; the logits of what comes next, [B, V]. May be overwritten by the next step."""
        ...


class StepwiseBatch:
    """Any predictor as a batch."""

    def __init__(self, predictor: Predictor, state: State) -> None:
        self._predictor, self._state = predictor, state
        self.lanes = next(iter(state.values())).shape[1]

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        logits, self._state = self._predictor.step(torch.from_numpy(tokens), self._state)
        found: NDArray[np.float32] = logits.float().cpu().numpy()
        return found


def open_batches(predictor: Predictor, state: State, precision: str = "float32") -> list[Batch]:
    """Batches of streams going on from `state`, its lanes dealt out in order: one batch, or in eight bits one for
    each core, to be stepped by a thread of its own. Raises UsageError where the precision cannot be had."""
    network = _eight_bit_network(predictor) if precision in ("int8", "auto") else None
    if network is not None:
        from charpipe.models.stepping.eight_bits import EightBitBatch

        return [EightBitBatch(network, part) for part in _dealt(state)]
    if precision == "int8":
        raise UsageError(
            "int8 needs an LSTM, GRU or tanh RNN of PyTorch's, a CPU with instructions for it (VNNI or AMX) and "
            "numba; say --precision float32, bfloat16 or auto"
        )
    return [StepwiseBatch(lowered(predictor, precision), state)]


def lowered(predictor: Predictor, precision: str) -> Predictor:
    """The predictor in another precision of the same device; counted models have none, and stay as they are."""
    if precision == "float32" or not isinstance(predictor, NetworkPredictor):
        return predictor
    chosen = choose_precision(precision, predictor.device)
    return NetworkPredictor(predictor.network, predictor.vocabulary_size, chosen)


def _eight_bit_network(predictor: Predictor) -> LanguageModel | None:
    network = quick_network(predictor)
    if network is None or not can_compile():
        return None
    from charpipe.models.stepping.eight_bits import fits

    return network if fits(network) else None


def _dealt(state: State) -> list[State]:
    """The state in parts for the cores, none with few lanes."""
    count = next(iter(state.values())).shape[1]
    parts = max(1, min(torch.get_num_threads(), count // FEWEST))
    pieces = {name: value.chunk(parts, 1) for name, value in state.items()}
    return [
        {name: found[n] for name, found in pieces.items()} for n in range(len(pieces[next(iter(pieces))]))
    ]
