"""From scores to a token: the decoders that the settings name follow each other, then one token is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from charpipe.errors import RunError, UsageError, near_match
from charpipe.generation.settings import SampleConfig
from charpipe.plugin import Decoder, resolve

Scores = NDArray[np.float64]
NOISE_BLOCK = 1 << 14
"""Numbers drawn at once."""


class Decoding:
    """The decoders of these settings and a generator of random numbers for each text written at once.

    Scores plus Gumbel noise are greatest where a draw from their softmax would fall (Maddison and others 2014): no
    sum over the vocabulary is needed. Text number n of a seed is the same however many are written beside it.
    """

    def __init__(
        self,
        settings: SampleConfig,
        vocabulary_size: int,
        decoders: Mapping[str, Decoder] | None = None,
        count: int = 1,
    ) -> None:
        known = installed() if decoders is None else decoders
        self.choices = [
            _choice(name, options, known, vocabulary_size) for name, options in wanted(settings).items()
        ]
        seed = settings.seed
        self.generators = [np.random.default_rng(None if seed is None else [seed, n]) for n in range(count)]
        self._noise = [_noise(generator, vocabulary_size) for generator in self.generators]

    def draw(self, logits: NDArray[Any], lane: int = 0) -> int:
        """A token from logits [V]."""
        scores = logits.astype(np.float64)
        for choose in self.choices:
            scores = choose(scores)
        scores = scores + next(self._noise[lane])  # a decoder may have given an array of its own
        token = int(scores.argmax())
        if not scores[token] > -np.inf:
            raise RunError("the model's scores are not numbers: its weights or a decoder are damaged")
        return token


def wanted(settings: SampleConfig) -> dict[str, dict[str, Any]]:
    """The decoders by name with their options, in the order in which they are applied."""
    if settings.greedy or settings.temperature == 0:
        return {"greedy": {}} | settings.decoders
    found: dict[str, dict[str, Any]] = {}
    if settings.temperature != 1:
        found["temperature"] = {"temperature": settings.temperature}
    if settings.top_k is not None:
        found["top-k"] = {"k": settings.top_k}
    if settings.top_p is not None:
        found["nucleus"] = {"p": settings.top_p}
    if settings.min_p is not None:
        found["min-p"] = {"p": settings.min_p}
    return found | settings.decoders


@cache
def installed() -> Mapping[str, Decoder]:
    """The decoders of installed plugins, for callers that have no registry at hand."""
    from charpipe.registry import Registry

    return Registry().all("decoder")


def _choice(
    name: str, options: Mapping[str, Any], known: Mapping[str, Decoder], vocabulary_size: int
) -> Callable[[Scores], Scores]:
    if name not in known:
        raise UsageError(f"there is no decoder {name!r}{near_match(name, known)}")
    decoder = known[name]
    try:
        config = decoder.config.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("sample.decoders", name, *first["loc"])))
        raise UsageError(f"{where}: {first['msg']}") from error
    made: Callable[[Scores], Scores] = resolve(decoder.choose)(config, vocabulary_size)
    return made


def _noise(generator: np.random.Generator, vocabulary_size: int) -> Iterator[Scores]:
    """Rows [V] of standard Gumbel noise; the same ones whatever the size of a block."""
    rows = max(1, NOISE_BLOCK // vocabulary_size)
    while True:
        drawn = generator.standard_exponential((rows, vocabulary_size))
        # in doubles a zero, whose row would win regardless, is too rare to matter
        yield from -np.log(np.maximum(drawn, np.finfo(np.float64).tiny))
