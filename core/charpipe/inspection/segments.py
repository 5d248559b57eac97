"""Cut texts into segments for the search; the segments form one batch, each read from the initial state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charpipe.inspection.pieces import split_pieces
from charpipe.inspection.signals import SIGNALS, measure
from charpipe.inspection.units import count, groups, read_state
from charpipe.models import NetworkPredictor, Predictor
from charpipe.models.contract import check_ids
from charpipe.plugin import Encoding

LENGTH = 2048
"""Tokens in a segment."""
RUN_UP = 256
"""Tokens at the start of each segment that are read but not counted, because the state is still warming up."""
MIN_LENGTH = 2 * RUN_UP
WINDOW = 64
"""Tokens of each segment that are read at once, where that is possible."""
MIN_SEARCHED = 2 * MIN_LENGTH
LARGEST = 1 << 25
"""Maximum number of recorded values: 64 MiB."""
Tokens = NDArray[Any]


@dataclass(frozen=True)
class Segments:
    """`tokens` int64 [T, B]; `counted` are the positions (token, stream) whose signals are known, in reading order;
    `signals` [counted, signals] their values."""

    tokens: Tokens
    counted: tuple[Tokens, Tokens]
    signals: NDArray[np.float32]


def cut(encoding: Encoding, tokens: Tokens, most: int, longest: int = LENGTH) -> Segments:
    """Up to `most` tokens of a text, in evenly spaced segments of up to `longest`, from its beginning to its end."""
    length = min(longest, len(tokens), max(most, MIN_LENGTH))
    segments = max(1, min(most, len(tokens)) // length)
    starts = np.linspace(0, len(tokens) - length, segments).round().astype(np.int64)
    columns = np.stack([np.asarray(tokens[start : start + length]).astype(np.int64) for start in starts], 1)
    places, numbers, values = [], [], [np.zeros((0, len(SIGNALS)), np.float32)]
    for number in range(segments):
        pieces = split_pieces(encoding, columns[:, number])
        measured = measure("".join(piece.text for piece in pieces))
        last = np.cumsum([len(piece.text) for piece in pieces]) - 1
        known = [n for n, piece in enumerate(pieces) if piece.last >= min(RUN_UP, length // 2)]
        places += [pieces[n].last for n in known]
        numbers += [number] * len(known)
        values.append(measured[last[known]] if known else values[0])
    return Segments(
        columns, (np.array(places, np.int64), np.array(numbers, np.int64)), np.concatenate(values)
    )


def record(predictor: Predictor, segments: Segments) -> NDArray[np.float16]:
    """Every unit at every counted position, float16 [counted, units]."""
    steps, width = segments.tokens.shape
    found = np.zeros((steps, width, count(groups(predictor))), np.float16)
    with np.errstate(over="ignore"):
        for place, values in enumerate(_states(predictor, torch.from_numpy(segments.tokens.copy()))):
            found[place] = values
    return found[segments.counted]


def _states(predictor: Predictor, tokens: Tensor) -> Iterator[NDArray[np.float32]]:
    """The activations after each step of tokens [T, B], float32 [B, units], from the initial state."""
    check_ids(tokens, predictor.vocabulary_size)
    state = predictor.initial_state(tokens.shape[1])
    recorder = predictor.recorder() if isinstance(predictor, NetworkPredictor) else None
    if recorder is None:
        for ids in tokens:
            _, state = predictor.step(ids, state)
            yield read_state(state)
        return
    for ids in torch.split(tokens, WINDOW):
        states, state = recorder(ids, state)
        together = {name: values.flatten(1, 2) for name, values in states.items()}
        yield from read_state(together).reshape(*ids.shape, -1)


def affordable(units: int, wanted: int) -> int:
    """Tokens to read from each of the two texts, so that the recording of one fits."""
    return max(MIN_LENGTH, min(wanted // 2, LARGEST // max(1, units)))
