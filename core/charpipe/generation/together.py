"""Many texts side by side: one step of the model for all of them, and their tokens drawn together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from charpipe.generation.decoding import Decoding
from charpipe.generation.ending import Ending
from charpipe.generation.position import Position
from charpipe.generation.sampling import Decoders, begin
from charpipe.generation.settings import SampleConfig
from charpipe.models import Predictor
from charpipe.models.batches import Batch, open_batch
from charpipe.plugin import Encoding

BLOCK = 64
"""Steps after which tokens become text."""


def sample_many(
    predictor: Predictor,
    encoding: Encoding,
    count: int,
    settings: SampleConfig | None = None,
    decoders: Decoders = None,
) -> list[str]:
    """`count` texts after the same prompt, written side by side in one batch; in float32 the first is that of
    `sample`."""
    settings = settings or SampleConfig()
    texts = [""] * count
    for pieces in generate_many(predictor, encoding, count, settings, decoders):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
    return [settings.prompt + text for text in texts]


def generate_many(
    predictor: Predictor,
    encoding: Encoding,
    count: int,
    settings: SampleConfig,
    decoders: Decoders = None,
) -> Iterator[list[str]]:
    """What each of `count` texts goes on with, again and again, until all have their length or their stop text.

    Raises UsageError as `generate` does, before the first piece is asked for.
    """
    decoding = Decoding(settings, encoding.size, decoders, count)
    state, token = begin(predictor, encoding, settings.prompt, Position())
    first = np.array([noise.any_token() if token is None else token for noise in decoding.noise])
    carried = {name: value.repeat_interleave(count, 1) for name, value in state.items()}
    batch = open_batch(predictor, carried, settings.precision)
    return _pieces(encoding, settings, _blocks(batch, decoding, first, settings.length, token is None), count)


def _blocks(
    batch: Batch, decoding: Decoding, tokens: NDArray[np.int64], length: int, with_first: bool
) -> Iterator[NDArray[np.int64]]:
    """Tokens [n, B], `length` rows of them in all."""
    rows = [tokens] if with_first and length else []
    for _ in range(length - len(rows)):
        if len(rows) == BLOCK:
            yield np.stack(rows)
            rows = []
        tokens = decoding.draw_each(batch.step(tokens))
        rows.append(tokens)
    if rows:
        yield np.stack(rows)


def _pieces(
    encoding: Encoding, settings: SampleConfig, blocks: Iterator[NDArray[np.int64]], count: int
) -> Iterator[list[str]]:
    readers = [encoding.decoder() for _ in range(count)]
    endings = [Ending(settings.stop) for _ in range(count)]
    for block in blocks:
        texts = [reader.decode(tokens) for reader, tokens in zip(readers, block.T.tolist(), strict=True)]
        yield [ending.pass_on(text) for ending, text in zip(endings, texts, strict=True)]
        if all(ending.reached for ending in endings):
            return
    rests = [reader.decode((), final=True) for reader in readers]
    yield [ending.pass_on(rest, last=True) for ending, rest in zip(endings, rests, strict=True)]
