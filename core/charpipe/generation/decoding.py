"""From logits to a token: apply the configured decoders in order, then draw one token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import RunError, UsageError, near_match
from charpipe.generation.random_numbers import Noise
from charpipe.kernels.rows import RowFormula, Scores
from charpipe.plugin import Decoder, resolve
from charpipe.plugins.registry import Registry

DAMAGED = "the model's scores are not numbers: its weights or a decoder are damaged"


class Decoding:
    """The configured decoders, and a random number generator for each text of the batch.

    Draws by the Gumbel-max trick (Maddison and others 2014): the argmax of scores plus Gumbel noise is a draw from
    their softmax, without a sum over the vocabulary. Text number n of a seed does not depend on the batch size.
    """

    def __init__(
        self,
        settings: SampleConfig,
        vocabulary_size: int,
        decoders: Mapping[str, Decoder] | None = None,
        count: int = 1,
        noise: Sequence[Noise] | None = None,
    ) -> None:
        known = installed() if decoders is None else decoders
        chain = configured(settings, known)
        self.choices: list[Callable[[Scores], Scores]] = [
            resolve(decoder.choose)(config, vocabulary_size) for decoder, config in chain
        ]
        formulas = [choose for choose in self.choices if isinstance(choose, RowFormula)]
        self.formulas = formulas if len(formulas) == len(self.choices) else None
        """The decoders as formulas if all of them are, so that the compiled loop can apply them."""
        self.noise = list(noise) if noise else _noise(settings.seed, vocabulary_size, count)

    def draw(self, logits: NDArray[Any]) -> int:
        """A token from logits [V]."""
        scores = logits.astype(np.float64)
        for choose in self.choices:
            scores = choose(scores)
        scores = scores + self.noise[0].rows(1)[0]  # a decoder may have returned its own array
        self.noise[0].used(1)
        token = int(scores.argmax())
        if not scores[token] > -np.inf:
            raise RunError(DAMAGED)
        return token

    def draw_each(self, logits: NDArray[Any]) -> NDArray[np.int64]:
        """Tokens [B] from logits [B, V], each with its own text's noise."""
        scores = logits.astype(np.float64)
        for choose in self.choices:
            scores = choose(scores)
        scores = scores + np.stack([noise.rows(1)[0] for noise in self.noise])
        for noise in self.noise:
            noise.used(1)
        tokens: NDArray[np.int64] = scores.argmax(-1)
        if not (scores.max(-1) > -np.inf).all():
            raise RunError(DAMAGED)
        return tokens


def wanted(settings: SampleConfig) -> dict[str, dict[str, Any]]:
    """The decoders by name with their options, in the order of application."""
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


def configured(settings: SampleConfig, known: Mapping[str, Decoder]) -> list[tuple[Decoder, BaseModel]]:
    """The configured decoders with their options. Raises UsageError for an unknown decoder or option."""
    return [_configured(name, options, known) for name, options in wanted(settings).items()]


@cache
def installed() -> Mapping[str, Decoder]:
    """The decoders of installed plugins, for callers without a registry."""
    return Registry().all("decoder")


def _configured(
    name: str, options: Mapping[str, Any], known: Mapping[str, Decoder]
) -> tuple[Decoder, BaseModel]:
    if name not in known:
        raise UsageError(f"there is no decoder {name!r}{near_match(name, known)}")
    decoder = known[name]
    try:
        return decoder, decoder.config.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("sample.decoders", name, *first["loc"])))
        raise UsageError(f"{where}: {first['msg']}") from error


def _noise(seed: int | None, vocabulary_size: int, count: int) -> list[Noise]:
    seeds = [None if seed is None else [seed, n] for n in range(count)]
    return [Noise(np.random.default_rng(each), vocabulary_size) for each in seeds]
