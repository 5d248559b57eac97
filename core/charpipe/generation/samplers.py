"""Samplers for one text: token by token from any model, or in blocks from the compiled loop."""

from __future__ import annotations

from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import RunError, UsageError
from charpipe.generation.decoding import DAMAGED, END, Decoding
from charpipe.generation.random_numbers import Noise
from charpipe.kernels.jit.numba_functions import can_compile
from charpipe.kernels.modules import NetworkModules
from charpipe.models import Predictor, State, Stream, open_stream, standard_modules
from charpipe.models.streams.interface import Engine

BLOCK_SECONDS = 0.02
"""Approximate duration of a block, short enough for smooth streaming."""
MIN_PRODUCTS = 10_000_000_000
"""Multiplications above which the compiled loop saves more time than loading it takes."""
STEP_OVERHEAD = 200_000
"""A step's overhead, in multiplications."""


class Sampler(Protocol):
    """Samples the tokens of one text."""

    def sample(self, token: int, most: int) -> NDArray[np.int64]:
        """The tokens after `token`: at least one and up to `most`, or none if the text has ended."""
        ...

    def state(self, kept: int) -> State:
        """The state after all but the last of the first `kept` tokens of the last block."""
        ...


class StepSampler:
    """Token by token, from any stream with any decoders."""

    def __init__(self, stream: Stream, decoding: Decoding) -> None:
        self._stream, self._decoding = stream, decoding
        self._at_end: State | None = None

    def sample(self, token: int, most: int) -> NDArray[np.int64]:
        before = self._stream.state if self._decoding.constraints else None
        drawn = self._decoding.draw(self._stream.step(token))
        if drawn != END:
            return np.array([drawn])
        self._at_end = before  # `token` is the last one, which nothing has read
        return np.empty(0, np.int64)

    def state(self, kept: int) -> State:
        return self._stream.state if self._at_end is None else self._at_end


class BlockSampler:
    """The compiled loop, which steps, decodes and draws without Python. `decoders` are compiled formulas."""

    def __init__(
        self,
        modules: NetworkModules,
        state: State,
        noise: Noise,
        decoders: tuple[NDArray[np.int64], NDArray[np.float64]],
    ) -> None:
        from charpipe.kernels.step.stream import CompiledStream  # imports numba

        self._stream = CompiledStream(modules, state)
        self._noise, self._decoders = noise, decoders
        self._size = 1
        self._before = state
        self._read: list[int] = []

    def sample(self, token: int, most: int) -> NDArray[np.int64]:
        from charpipe.kernels.step.sampling import sample_tokens  # imports numba

        began = perf_counter()
        self._before = self._stream.state
        rows = self._noise.rows(min(most, self._size))
        out = np.empty(len(rows), np.int64)
        arguments = (token, self._stream.slot, *self._decoders, rows, out)
        if self._stream.run(sample_tokens, len(rows), *arguments) < len(rows):
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
            self._stream.set_state(self._before)
            self._stream.read(np.array(self._read[:kept], np.int64))
        return self._stream.state


def open_sampler(predictor: Predictor, state: State, decoding: Decoding, settings: SampleConfig) -> Sampler:
    """The configured sampler, or the fastest one for a text of this length.

    The choice depends only on the settings and the machine, so the same seed generates the same text. Raises
    UsageError if the compiled loop is configured and numba is missing.
    """
    modules = standard_modules(predictor)
    engine: Engine = "arrays" if settings.engine == "auto" else settings.engine
    if settings.engine == "auto" and modules is not None and _pays(modules, settings.length):
        engine = "compiled" if can_compile() and decoding.formulas is not None else "arrays"
    if engine == "compiled" and modules is not None:
        if not can_compile():
            raise UsageError("the engine compiled needs numba; type: pip install numba, or use --engine auto")
        decoders = _compiled(decoding)
        if decoders is not None:
            return BlockSampler(modules, state, decoding.noise[0], decoders)
    return StepSampler(open_stream(predictor, state, engine, graphs=settings.cuda_graphs), decoding)


def _compiled(decoding: Decoding) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """The decoders for the compiled loop, or None if one of them is not a formula that numba can compile."""
    if decoding.formulas is None:
        return None
    from charpipe.kernels.step.decoders import compile_formulas  # imports numba

    return compile_formulas(decoding.formulas)


def _pays(modules: NetworkModules, length: int) -> bool:
    """Whether a text is long enough for the compiled loop."""
    return length * (modules.parameter_count + STEP_OVERHEAD) > MIN_PRODUCTS
