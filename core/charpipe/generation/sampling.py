"""A model writes text: the distribution of the next character is sharpened by a temperature and drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from charpipe.errors import UsageError
from charpipe.generation.settings import SampleConfig
from charpipe.models import Predictor, State
from charpipe.plugin import Encoding

PROMPT_WINDOW = 1024
"""Tokens of the prompt read at once."""


def sample(predictor: Predictor, encoding: Encoding, settings: SampleConfig | None = None) -> str:
    """The prompt and what the model writes after it."""
    settings = settings or SampleConfig()
    return settings.prompt + "".join(generate(predictor, encoding, settings))


def generate(
    predictor: Predictor,
    encoding: Encoding,
    settings: SampleConfig,
    stop: Callable[[], bool] | None = None,
) -> Iterator[str]:
    """What the model writes after the prompt, piece by piece; `stop` is asked after each token.

    The same seed writes the same text on the same machine. Raises UsageError naming a character of the prompt
    that the vocabulary lacks.
    """
    generator = torch.Generator()
    generator.seed() if settings.seed is None else generator.manual_seed(settings.seed)
    decoder = encoding.decoder()
    state, token, written = _begin(predictor, encoding, settings, generator)
    if written and settings.length:
        yield decoder.decode([int(token)])
    for _ in range(settings.length - written):
        logits, state = predictor.step(token, state)
        token = choose(logits, settings.temperature, generator)
        if piece := decoder.decode([int(token)]):
            yield piece
        if stop is not None and stop():
            break
    if rest := decoder.decode([], final=True):
        yield rest


def choose(logits: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """One token a row (int64 [B]) from softmax(logits / temperature); at 0 the likeliest. logits: [B, V]."""
    scores = logits.detach().cpu().double()
    if temperature == 0:
        return scores.argmax(-1)
    # Subtracting the maximum first keeps tiny temperatures from overflowing.
    scores = (scores - scores.amax(-1, keepdim=True)) / temperature
    return torch.multinomial(scores.softmax(-1), 1, generator=generator)[:, 0]


def _begin(
    predictor: Predictor, encoding: Encoding, settings: SampleConfig, generator: torch.Generator
) -> tuple[State, Tensor, int]:
    """The state that has read all but the last token of the prompt, that token, and 1 if it is to be written.

    Without a prompt the model starts as after a line break; where the corpus has none, with any character.
    """
    state = predictor.initial_state(1)
    if not settings.prompt:
        line_break = _line_break(encoding)
        if line_break is not None:
            return state, line_break, 0
        return state, torch.randint(encoding.size, (1,), generator=generator), 1
    ids = torch.from_numpy(encoding.encode(settings.prompt).astype("int64"))[:, None]
    for start in range(0, len(ids) - 1, PROMPT_WINDOW):
        _, state = predictor.score(ids[start : start + PROMPT_WINDOW + 1], state)
    return state, ids[-1], 0


def _line_break(encoding: Encoding) -> Tensor | None:
    """The token of a line break (int64 [1]), where the vocabulary has it as one token."""
    try:
        ids = encoding.encode("\n")
    except UsageError:
        return None
    return torch.from_numpy(ids.astype("int64")) if len(ids) == 1 else None
