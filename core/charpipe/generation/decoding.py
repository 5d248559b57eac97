"""From logits to a token: apply the configured decoders in order, then draw one token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import RunError, UsageError, near_match
from charpipe.generation.constraints import Progress, check_length
from charpipe.generation.random_numbers import Noise
from charpipe.kernels.rows import RowFormula, Scores
from charpipe.plugin import Constraint, Decoder, Encoding, resolve
from charpipe.plugins.registry import Registry

END = -1
"""Drawn instead of a token where a text has ended, which only constraints do."""
DAMAGED = "the model's scores are not numbers: its weights or a decoder are damaged"


class Decoding:
    """The configured decoders, and a random number generator for each text of the batch.

    Draws by the Gumbel-max trick (Maddison and others 2014): the argmax of scores plus Gumbel noise is a draw from
    their softmax, without a sum over the vocabulary. Text number n of a seed does not depend on the batch size.

    Decoders that constrain the text need the `encoding`, and a Decoding for each text or batch: it follows the texts.
    """

    def __init__(
        self,
        settings: SampleConfig,
        vocabulary_size: int,
        decoders: Mapping[str, Decoder] | None = None,
        count: int = 1,
        noise: Sequence[Noise] | None = None,
        encoding: Encoding | None = None,
        constraints: Sequence[Constraint] | None = None,
    ) -> None:
        known = installed() if decoders is None else decoders
        chain = configured(settings, known)
        self.choices: list[Callable[[Scores], Scores]] = [
            resolve(decoder.choose)(config, vocabulary_size)
            for decoder, config in chain
            if decoder.choose is not None
        ]
        self.constraints = _constraints(chain, encoding) if constraints is None else list(constraints)
        check_length(self.constraints, settings.length)
        formulas = [choose for choose in self.choices if isinstance(choose, RowFormula)]
        self.formulas = formulas if len(formulas) == len(self.choices) and not self.constraints else None
        """The decoders as formulas if all of them are, so that the compiled loop can apply them."""
        self.noise = list(noise) if noise else noise_of_texts(settings.seed, vocabulary_size, range(count))
        self.progress = [Progress(self.constraints, settings.length) for _ in self.noise]

    def draw(self, logits: NDArray[Any]) -> int:
        """A token from logits [V], or END."""
        scores = logits.astype(np.float64)
        if self.constraints:
            scores = self.progress[0].narrow(scores)
        for choose in self.choices:
            scores = choose(scores)
        scores = scores + self.noise[0].rows(1)[0]  # a decoder may have returned its own array
        self.noise[0].used(1)
        token = int(scores.argmax())
        if not scores[token] > -np.inf:
            raise RunError(DAMAGED)
        return token if not self.constraints or self.progress[0].read(token) else END

    def draw_each(self, logits: NDArray[Any]) -> NDArray[np.int64]:
        """Tokens [B] from logits [B, V], each with its own text's noise; END for those texts that have ended."""
        scores = logits.astype(np.float64)
        if self.constraints:
            scores = np.stack([text.narrow(row) for text, row in zip(self.progress, scores, strict=True)])
        for choose in self.choices:
            scores = choose(scores)
        scores = scores + np.stack([noise.rows(1)[0] for noise in self.noise])
        for noise in self.noise:
            noise.used(1)
        tokens: NDArray[np.int64] = scores.argmax(-1)
        if not (scores.max(-1) > -np.inf).all():
            raise RunError(DAMAGED)
        if self.constraints:
            for n, text in enumerate(self.progress):
                tokens[n] = tokens[n] if text.read(int(tokens[n])) else END
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


def _constraints(chain: Sequence[tuple[Decoder, BaseModel]], encoding: Encoding | None) -> list[Constraint]:
    found = []
    for decoder, config in chain:
        if decoder.constrain is not None:
            if encoding is None:
                raise UsageError(f"the decoder {decoder.name} needs the vocabulary, which is not known here")
            found.append(resolve(decoder.constrain)(config, encoding))
    return found


def noise_of_texts(seed: int | None, vocabulary_size: int, numbers: Iterable[int]) -> list[Noise]:
    """The random numbers of texts by their numbers: text n of a seed is the same in any batch."""
    seeds = [None if seed is None else [seed, n] for n in numbers]
    return [Noise(np.random.default_rng(each), vocabulary_size) for each in seeds]
