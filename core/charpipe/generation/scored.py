"""Generate a text with the log probability of each piece, and the prediction that it was drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.config.settings.sampling import SampleConfig
from charpipe.generation.decoding import END, Decoding, noise_of_texts
from charpipe.generation.sampling import Decoders, read_prompt
from charpipe.generation.state import Position
from charpipe.generation.stop_words import StopTextFilter
from charpipe.models import Predictor, Stream, open_stream
from charpipe.plugin import Encoding, IncrementalDecoder, end_token


@dataclass(frozen=True)
class ScoredPiece:
    """A piece of text: one character, unless a token is more.

    `log_probability` is the model's own, in nats, at temperature 1 and before all decoders, given everything before;
    that of several tokens (bytes) is their sum. `log_probabilities` [V] is the prediction of its first token. A
    character at the very beginning, before which nothing was read, has neither.
    """

    text: str
    log_probability: float | None
    log_probabilities: NDArray[np.float64] | None = None


def generate_scored(
    predictor: Predictor,
    encoding: Encoding,
    settings: SampleConfig,
    decoders: Decoders = None,
    number: int = 0,
) -> Iterator[ScoredPiece]:
    """Yield the pieces of the text that `generate` generates, with their scores; text `number` of the seed.

    Raises UsageError as `generate` does, before the first piece is requested.
    """
    noise = noise_of_texts(settings.seed, encoding.size, [number])
    decoding = Decoding(settings, encoding.size, decoders, noise=noise, encoding=encoding)
    state, token = read_prompt(predictor, encoding, settings.prompt, Position())
    stream = open_stream(predictor, state)
    return _until(_pieces(stream, token, decoding, encoding, settings.length), settings.stop)


def read_scored(predictor: Predictor, encoding: Encoding, text: str) -> Iterator[ScoredPiece]:
    """The pieces of a given text with their scores, read from the initial state as a prompt is: the first token has
    none."""
    stream = open_stream(predictor, predictor.initial_state(1))
    group, before = _Group(encoding.decoder()), None
    for token in encoding.encode(text).tolist():
        prediction = None if before is None else log_softmax(stream.step(before))
        yield from group.add(token, prediction)
        before = token
    yield from group.rest()


def next_character(predictor: Predictor, encoding: Encoding, text: str) -> NDArray[np.float64]:
    """The log probabilities [V] of the token after a text."""
    state, token = read_prompt(predictor, encoding, text, Position())
    if token is None:
        return np.full(encoding.size, -np.log(encoding.size))
    logits, _ = predictor.step(torch.tensor([token]), state)
    return log_softmax(logits[0].float().cpu().numpy())


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log probabilities [..., V] of logits."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    found: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return found


class _Group:
    """Joins tokens to pieces of text."""

    def __init__(self, decoder: IncrementalDecoder) -> None:
        self._decoder = decoder
        self._score: float | None = None
        self._first: NDArray[np.float64] | None = None
        self._waiting = False

    def add(self, token: int, prediction: NDArray[np.float64] | None) -> Iterator[ScoredPiece]:
        """The piece that the token completes."""
        if not self._waiting:
            self._first, self._score, self._waiting = prediction, None, True
        if prediction is not None:
            self._score = (self._score or 0.0) + float(prediction[token])
        if text := self._decoder.decode([token]):
            self._waiting = False
            yield ScoredPiece(text, self._score, self._first)

    def rest(self) -> Iterator[ScoredPiece]:
        """What an unfinished character becomes at the end."""
        if text := self._decoder.decode((), final=True):
            yield ScoredPiece(text, self._score, self._first)


def _pieces(
    stream: Stream, token: int | None, decoding: Decoding, encoding: Encoding, length: int
) -> Iterator[ScoredPiece]:
    group, written, end = _Group(encoding.decoder()), 0, end_token(encoding)
    if token is None:
        token = decoding.noise[0].any_token()
        if length and not decoding.constraints:
            written = 1
            yield from group.add(token, None)
    for _ in range(written, length):
        logits = stream.step(token)
        drawn = decoding.draw(logits)
        if drawn in (END, end):
            break
        token = drawn
        yield from group.add(token, log_softmax(logits))
    yield from group.rest()


def _until(pieces: Iterator[ScoredPiece], ends: str | Sequence[str] | None) -> Iterator[ScoredPiece]:
    """The pieces before the first of the ends."""
    ending, held = StopTextFilter(ends), list[ScoredPiece]()
    allowed = 0
    for piece in chain(pieces, [None]):
        if piece is None:
            allowed += len(ending.pass_on("", last=True))
        else:
            allowed += len(ending.pass_on(piece.text))
            held.append(piece)
        while held and len(held[0].text) <= allowed:
            allowed -= len(held[0].text)
            yield held.pop(0)
        if ending.reached:
            break
    if held and allowed:  # an end begins within a piece
        yield replace(held[0], text=held[0].text[:allowed])
