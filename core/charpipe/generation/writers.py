"""How the tokens of one text come about: one at a time from any model, or many at once from the compiled loop."""

from __future__ import annotations

from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from charpipe.errors import RunError, UsageError
from charpipe.generation.decoding import DAMAGED, NATIVE, Decoding
from charpipe.generation.settings import SampleConfig
from charpipe.models import Predictor, State, open_stream, quick_network
from charpipe.models.compiling import can_compile
from charpipe.models.shell import parameter_count
from charpipe.models.stepping.streams import Engine, Stream

BLOCK_SECONDS = 0.02
"""A block takes about so long, so that a text streams smoothly."""
REPAYS = 10_000_000_000
"""Multiplications from which loading the compiled loop takes less time than it saves."""
OVERHEAD = 200_000
"""A step's cost besides its products, in multiplications."""


class Writer(Protocol):
    """Goes on writing after a token."""

    def write(self, token: int, most: int) -> NDArray[np.int64]:
        """What follows `token`: at least one token and up to `most`."""
        ...

    def state(self, kept: int) -> State:
        """The state before the last of the first `kept` tokens of the last block (all of it, where it was one)."""
        ...


class StepWriter:
    """Token by token, over any stream and any decoders."""

    def __init__(self, stream: Stream, decoding: Decoding) -> None:
        self._stream, self._decoding = stream, decoding

    def write(self, token: int, most: int) -> NDArray[np.int64]:
        return np.array([self._decoding.draw(self._stream.step(token))])

    def state(self, kept: int) -> State:
        return self._stream.state


class BlockWriter:
    """The compiled loop, which steps and draws without Python. It takes decoders that it knows (`Decoding.native`)."""

    def __init__(self, predictor: Predictor, state: State, decoding: Decoding) -> None:
        from charpipe.models.stepping.compiled import CompiledStream

        network = quick_network(predictor)
        assert network is not None and decoding.native is not None
        self._stream = CompiledStream(network, state)
        self._noise = decoding.noise[0]
        self._which = np.array([NATIVE.index(name) for name, _ in decoding.native], np.int64)
        self._numbers = np.array([number for _, number in decoding.native], np.float64)
        self._size = 1
        self._before = state
        self._read: list[int] = []

    def write(self, token: int, most: int) -> NDArray[np.int64]:
        from charpipe.generation.kernels import write

        began = perf_counter()
        self._before = self._stream.state
        rows = self._noise.rows(min(most, self._size))
        out = np.empty(len(rows), np.int64)
        arguments = (token, self._stream.now, self._which, self._numbers, rows, out)
        if self._stream.run(write, len(rows), *arguments) < len(rows):
            raise RunError(DAMAGED)
        self._noise.used(len(rows))
        self._read = [token, *out[:-1].tolist()]
        if perf_counter() - began < BLOCK_SECONDS:
            self._size = 2 * len(rows)
        return out

    def state(self, kept: int) -> State:
        unwritten = len(self._read) - kept
        if unwritten:
            self._noise.used(-unwritten)
            self._stream.state = self._before
            self._stream.read(np.array(self._read[:kept], np.int64))
        return self._stream.state


def open_writer(predictor: Predictor, state: State, decoding: Decoding, settings: SampleConfig) -> Writer:
    """The writer that the settings ask for, or the quickest for a text of their length.

    Which one depends on the settings and the machine alone, so that the same seed writes the same text.
    Raises UsageError where the compiled loop is asked for and cannot be had.
    """
    engine: Engine = "arrays" if settings.engine == "auto" else settings.engine
    if settings.engine == "auto" and _repays(predictor, settings.length) and decoding.native is not None:
        engine = "compiled" if can_compile() else "arrays"
    if engine == "compiled" and quick_network(predictor) is not None:
        if not can_compile():
            raise UsageError("the engine compiled needs numba: pip install numba, or choose the engine auto")
        if decoding.native is not None:
            return BlockWriter(predictor, state, decoding)
    return StepWriter(open_stream(predictor, state, engine, graphs=settings.cuda_graphs), decoding)


def _repays(predictor: Predictor, length: int) -> bool:
    network = quick_network(predictor)
    return network is not None and length * (parameter_count(network) + OVERHEAD) > REPAYS
