"""Generate one text, character by character."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing

import torch

from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import UsageError
from charpipe.generation.decoding import Decoding
from charpipe.generation.samplers import open_sampler
from charpipe.generation.state import Position
from charpipe.generation.stop_words import StopTextFilter
from charpipe.models import NetworkPredictor, Predictor, State
from charpipe.models.streams.selection import in_precision
from charpipe.plugin import Decoder, Encoding

PROMPT_WINDOW = 1024
"""Tokens of the prompt read per call."""
Decoders = Mapping[str, Decoder] | None


def sample(
    predictor: Predictor,
    encoding: Encoding,
    settings: SampleConfig | None = None,
    decoders: Decoders = None,
) -> str:
    """The prompt and the text generated after it."""
    settings = settings or SampleConfig()
    return settings.prompt + "".join(generate(predictor, encoding, settings, decoders=decoders))


def generate(
    predictor: Predictor,
    encoding: Encoding,
    settings: SampleConfig,
    stop: Callable[[], bool] | None = None,
    decoders: Decoders = None,
    position: Position | None = None,
) -> Iterator[str]:
    """Yield the text generated after the prompt piece by piece; `stop` is called after each piece.

    The same seed generates the same text on the same machine. `decoders` are those that the settings may name, by
    default the installed ones. Generation continues from `position`, which is updated when the text ends or is no
    longer requested: the state has then read everything that was generated, including a stop text. Raises UsageError
    for a character of the prompt that is not in the vocabulary, which the message names, or for an invalid setting.
    """
    position = position or Position()
    predictor = _for_one(predictor, settings.precision)
    decoding = Decoding(settings, encoding.size, decoders, noise=position.noise, encoding=encoding)
    position.state, position.token = read_prompt(predictor, encoding, settings.prompt, position)
    position.noise = decoding.noise  # all this before the first piece is requested
    return _until(_pieces(predictor, encoding, settings, decoding, position, stop), settings.stop)


def _for_one(predictor: Predictor, precision: str) -> Predictor:
    """On a CPU, float32 is fastest for one text, whatever precision is set: reading the weights dominates."""
    if isinstance(predictor, NetworkPredictor) and predictor.device.type == "cuda":
        return in_precision(predictor, precision)
    return predictor


def _pieces(
    predictor: Predictor,
    encoding: Encoding,
    settings: SampleConfig,
    decoding: Decoding,
    position: Position,
    stop: Callable[[], bool] | None,
) -> Generator[str, None, None]:
    decoder, written = encoding.decoder(), 0
    if position.token is None:
        position.token = decoding.noise[0].any_token()
        if settings.length and not decoding.constraints:
            written = 1
            yield decoder.decode([position.token])
    assert position.state is not None
    sampler = open_sampler(predictor, position.state, decoding, settings)
    one_by_one = stop is not None or settings.stop is not None
    token, taken = position.token, 0
    try:
        while written < settings.length:
            tokens = sampler.sample(token, settings.length - written).tolist()
            if not tokens:
                break
            taken, written = 0, written + len(tokens)
            for piece in ((each,) for each in tokens) if one_by_one else (tokens,):
                taken, token = taken + len(piece), piece[-1]
                if text := decoder.decode(piece):
                    yield text
                if stop is not None and stop():
                    return
    finally:
        if taken:
            position.state, position.token = sampler.state(taken), token
    if rest := decoder.decode((), final=True):
        yield rest


def read_prompt(
    predictor: Predictor, encoding: Encoding, prompt: str, position: Position
) -> tuple[State, int | None]:
    """The state after all but the last token of the position and the prompt, and that token.

    If both are empty, the model starts as after a line break; if the corpus has no line break, it starts with a
    random character (None), which is part of the text.
    """
    state = predictor.initial_state(1) if position.state is None else position.state
    if not prompt:
        return state, line_break(encoding) if position.token is None else position.token
    ids = torch.from_numpy(encoding.encode(prompt).astype("int64"))[:, None]
    if position.token is not None:
        ids = torch.cat([torch.tensor([[position.token]]), ids])
    for start in range(0, len(ids) - 1, PROMPT_WINDOW):
        _, state = predictor.score(ids[start : start + PROMPT_WINDOW + 1], state)
    return state, int(ids[-1])


def line_break(encoding: Encoding) -> int | None:
    """The token of a line break, if the vocabulary has one token for it."""
    try:
        ids = encoding.encode("\n")
    except UsageError:
        return None
    return int(ids[0]) if len(ids) == 1 else None


def _until(pieces: Generator[str, None, None], end: str | Sequence[str] | None) -> Iterator[str]:
    ending = StopTextFilter(end)
    with closing(pieces):
        for piece in pieces:
            if passed := ending.pass_on(piece):
                yield passed
            if ending.reached:
                return
    if rest := ending.pass_on("", last=True):
        yield rest
