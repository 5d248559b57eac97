"""Batched generation: each model step and each draw covers all texts."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.config.settings.sampling import SampleConfig
from charpipe.generation.decoding import Decoding
from charpipe.generation.sampling import Decoders, read_prompt
from charpipe.generation.state import Position
from charpipe.generation.stop_words import StopTextFilter
from charpipe.models import Predictor
from charpipe.models.streams.interface import Batch
from charpipe.models.streams.selection import open_batches
from charpipe.plugin import Encoding
from charpipe.text.ends import end_token

BLOCK = 64
"""Steps between conversions of tokens to text."""


def sample_many(
    predictor: Predictor,
    encoding: Encoding,
    count: int,
    settings: SampleConfig | None = None,
    decoders: Decoders = None,
) -> list[str]:
    """`count` texts after the same prompt, generated in one batch; in float32 the first equals the text of `sample`."""
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
    ended: list[bool] | None = None,
) -> Iterator[list[str]]:
    """Yield the next piece of each of `count` texts until all reach their length, their stop text, or the end of their
    document; `ended`, a list of `count`, is set to which of them the model ended.

    Raises UsageError as `generate` does, before the first piece is requested.
    """
    decoding = Decoding(settings, encoding.size, decoders, count)
    state, token = read_prompt(predictor, encoding, settings.prompt, Position())
    first = np.array([noise.any_token() if token is None else token for noise in decoding.noise])
    carried = {name: value.repeat_interleave(count, 1) for name, value in state.items()}
    teams, at = [], 0
    for batch in open_batches(predictor, carried, settings.precision):
        noise = decoding.noise[at : at + batch.size]
        own = Decoding(settings, encoding.size, decoders, noise=noise)
        teams.append(Team(batch, own, first[at : at + batch.size]))
        at += batch.size
    begun = [first[None]] if token is None and settings.length else []
    blocks = chain(begun, _blocks(teams, settings.length - len(begun)))
    return _pieces(encoding, settings, blocks, [False] * count if ended is None else ended)


@dataclass
class Team:
    """A part of the texts, stepped together by one thread."""

    batch: Batch
    decoding: Decoding
    tokens: NDArray[np.int64]

    def write(self, steps: int) -> NDArray[np.int64]:
        """The next tokens, [steps, B]."""
        rows = np.empty((steps, self.batch.size), np.int64)
        for row in rows:
            row[:] = self.tokens = self.decoding.draw_each(self.batch.step(self.tokens))
        return rows


def _blocks(teams: list[Team], length: int) -> Iterator[NDArray[np.int64]]:
    """Blocks of tokens [n, B], `length` rows in all, from one team or from several in parallel."""
    sizes = [min(BLOCK, length - start) for start in range(0, length, BLOCK)]
    if len(teams) == 1:
        yield from (teams[0].write(size) for size in sizes)
        return
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(teams), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for size in sizes:
                yield np.concatenate(list(pool.map(lambda team, n=size: team.write(n), teams)), axis=1)
    finally:
        torch.set_num_threads(threads)  # some of the libraries below have one thread count for all threads


def _pieces(
    encoding: Encoding, settings: SampleConfig, blocks: Iterator[NDArray[np.int64]], ended: list[bool]
) -> Iterator[list[str]]:
    end, readers = end_token(encoding), [encoding.decoder() for _ in ended]
    endings = [StopTextFilter(settings.stop) for _ in ended]
    for block in blocks:
        found = []
        for place, tokens in enumerate(block.T.tolist()):
            kept = tokens if end not in tokens else tokens[: tokens.index(end)]
            found.append("" if ended[place] else endings[place].pass_on(readers[place].decode(kept)))
            ended[place] = (ended[place] or len(kept) < len(tokens)) and not endings[place].reached
        yield found
        if all(done or ending.reached for done, ending in zip(ended, endings, strict=True)):
            break
    rests = [reader.decode((), final=True) for reader in readers]
    yield [ending.pass_on(rest, last=True) for ending, rest in zip(endings, rests, strict=True)]
