"""Batched generation: each model step and each draw covers all texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from charpipe.config.settings.sampling import SampleConfig
from charpipe.generation.decoding import END, Decoding, noise_of_texts
from charpipe.generation.sampling import Decoders, read_prompt
from charpipe.generation.state import Position
from charpipe.generation.stop_words import StopTextFilter
from charpipe.models import Predictor, State
from charpipe.models.streams.interface import Batch
from charpipe.models.streams.selection import open_batches
from charpipe.plugin import Encoding, end_token

BLOCK = 64
"""Steps between conversions of tokens to text."""
TEXTS = 256
"""Texts in one batch after many prompts."""
EndedBy = Literal["model", "stop", "constraint", "length"]
"""What ended a text: the model wrote the end of its document, a stop text, a constraint of the decoders that it
satisfies, or the length."""


def sample_many(
    predictor: Predictor,
    encoding: Encoding,
    count: int,
    settings: SampleConfig | None = None,
    decoders: Decoders = None,
) -> list[str]:
    """`count` texts after the same prompt, generated in one batch; in float32 the first equals the text of `sample`."""
    settings = settings or SampleConfig()
    return sample_after(predictor, encoding, [settings.prompt] * count, settings, decoders)


def sample_after(
    predictor: Predictor,
    encoding: Encoding,
    prompts: Sequence[str],
    settings: SampleConfig | None = None,
    decoders: Decoders = None,
    first_number: int = 0,
) -> list[str]:
    """A text after each prompt, the prompt included, generated in one batch.

    Their random numbers are those of the texts from number `first_number` on: in float32 a text does not depend on the
    others of its batch.
    """
    settings = settings or SampleConfig()
    texts = list(prompts)
    for pieces in _generate(predictor, encoding, prompts, settings, decoders, first_number):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
    return texts


def generate_many(
    predictor: Predictor,
    encoding: Encoding,
    count: int,
    settings: SampleConfig,
    decoders: Decoders = None,
    ended: list[EndedBy] | None = None,
) -> Iterator[list[str]]:
    """Yield the next piece of each of `count` texts until all reach their length, their stop text, or the end of their
    document; `ended`, a list of `count`, is set to what ended each of them.

    Raises UsageError as `generate` does, before the first piece is requested.
    """
    return _generate(predictor, encoding, [settings.prompt] * count, settings, decoders, 0, ended)


def _generate(
    predictor: Predictor,
    encoding: Encoding,
    prompts: Sequence[str],
    settings: SampleConfig,
    decoders: Decoders,
    first_number: int,
    ended: list[EndedBy] | None = None,
) -> Iterator[list[str]]:
    numbers = range(first_number, first_number + len(prompts))
    noise = noise_of_texts(settings.seed, encoding.size, numbers)
    decoding = Decoding(settings, encoding.size, decoders, noise=noise, encoding=encoding)
    carried, tokens = _read_prompts(predictor, encoding, prompts)
    first = np.array([each.any_token() if t is None else t for each, t in zip(noise, tokens, strict=True)])
    teams, at = [], 0
    for batch in open_batches(predictor, carried, settings.precision):
        part = slice(at, at + batch.size)
        own = Decoding(settings, encoding.size, decoders, noise=noise[part], constraints=decoding.constraints)
        teams.append(Team(batch, own, first[part]))
        at += batch.size
    begun: list[NDArray[np.int64]] = []
    if None in tokens and settings.length and not decoding.constraints:
        begun = [np.where([token is None for token in tokens], first, END)[None]]
    blocks = chain(begun, _blocks(teams, settings.length - len(begun)))
    return _pieces(encoding, settings, blocks, ["length"] * len(prompts) if ended is None else ended)


def _read_prompts(
    predictor: Predictor, encoding: Encoding, prompts: Sequence[str]
) -> tuple[State, list[int | None]]:
    """The states after the prompts as one batch, and their last tokens; each distinct prompt is read once."""
    read = {prompt: read_prompt(predictor, encoding, prompt, Position()) for prompt in dict.fromkeys(prompts)}
    states = [read[prompt][0] for prompt in prompts]
    carried = {name: torch.cat([state[name] for state in states], 1) for name in states[0]}
    return carried, [read[prompt][1] for prompt in prompts]


def sample_prompts(
    predictor: Predictor,
    encoding: Encoding,
    prompts: Sequence[str],
    settings: SampleConfig | None = None,
    decoders: Decoders = None,
) -> Iterator[str]:
    """A text after each of any number of prompts, in order, generated in batches."""
    for first in range(0, len(prompts), TEXTS):
        part = prompts[first : first + TEXTS]
        yield from sample_after(predictor, encoding, part, settings, decoders, first)


@dataclass
class Team:
    """A part of the texts, stepped together by one thread."""

    batch: Batch
    decoding: Decoding
    tokens: NDArray[np.int64]

    def write(self, steps: int) -> NDArray[np.int64]:
        """The next tokens, [steps, B]; END for texts that have ended."""
        rows = np.full((steps, self.batch.size), END, np.int64)
        for row in rows:
            if self.decoding.constraints and all(text.ended for text in self.decoding.progress):
                break
            row[:] = self.decoding.draw_each(self.batch.step(self.tokens))
            self.tokens = np.where(row == END, self.tokens, row)
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
    encoding: Encoding, settings: SampleConfig, blocks: Iterator[NDArray[np.int64]], ended: list[EndedBy]
) -> Iterator[list[str]]:
    end, readers = end_token(encoding), [encoding.decoder() for _ in ended]
    endings = [StopTextFilter(settings.stop) for _ in ended]
    for block in blocks:
        found = []
        for place, column in enumerate(block.T.tolist()):
            tokens = [token for token in column if token != END]
            kept = tokens if end not in tokens else tokens[: tokens.index(end)]
            found.append(
                "" if ended[place] == "model" else endings[place].pass_on(readers[place].decode(kept))
            )
            if endings[place].reached:
                ended[place] = "stop"
            elif len(kept) < len(tokens):
                ended[place] = "model"
            elif ended[place] != "model":
                ended[place] = "constraint" if column[-1] == END else "length"
        yield found
        if "length" not in ended:
            break
    rests = [reader.decode((), final=True) for reader in readers]
    found = [ending.pass_on(rest, last=True) for ending, rest in zip(endings, rests, strict=True)]
    ended[:] = ["stop" if ending.reached else by for ending, by in zip(endings, ended, strict=True)]
    yield found
