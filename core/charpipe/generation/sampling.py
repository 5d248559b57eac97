"""Generate one text, character by character."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import UsageError
from charpipe.generation.decoding import Decoding
from charpipe.generation.samplers import open_sampler
from charpipe.generation.state import Position
from charpipe.generation.stop_words import StopTextFilter
from charpipe.models.array_model import ArrayModel
from charpipe.models.contract import Predictor, State
from charpipe.plugin import Decoder, Encoding, end_token

PROMPT_WINDOW = 1024
"""Tokens of the prompt read per call."""
Decoders = Mapping[str, Decoder] | None


def sample(
    predictor: Predictor | ArrayModel,
    encoding: Encoding,
    settings: SampleConfig | None = None,
    decoders: Decoders = None,
) -> str:
    """The prompt and the text generated after it."""
    settings = settings or SampleConfig()
    return settings.prompt + "".join(generate(predictor, encoding, settings, decoders=decoders))


def generate(
    predictor: Predictor | ArrayModel,
    encoding: Encoding,
    settings: SampleConfig,
    stop: Callable[[], bool] | None = None,
    decoders: Decoders = None,
    position: Position | None = None,
) -> Iterator[str]:
    """Yield the text generated after the prompt piece by piece; `stop` is called after each piece. Where the model
    writes the end of a document, generation stops, and `position.ended` says so.

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


def _for_one(predictor: Predictor | ArrayModel, precision: str) -> Predictor | ArrayModel:
    """On a CPU, float32 is fastest for one text, whatever precision is set: reading the weights dominates."""
    if isinstance(predictor, ArrayModel):
        return predictor
    from charpipe.models.predictor import NetworkPredictor
    from charpipe.models.streams.selection import in_precision

    if isinstance(predictor, NetworkPredictor) and predictor.device.type == "cuda":
        return in_precision(predictor, precision)
    return predictor


def _pieces(
    predictor: Predictor | ArrayModel,
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
    sampler, end = open_sampler(predictor, position.state, decoding, settings), end_token(encoding)
    one_by_one = stop is not None or settings.stop is not None
    token, taken = position.token, 0
    try:
        while written < settings.length:
            tokens = sampler.sample(token, settings.length - written).tolist()
            if not tokens:
                break
            taken, written = 0, written + len(tokens)
            if end in tokens:  # the document is whole
                tokens = tokens[: tokens.index(end)]
                position.ended = True
            for piece in ((each,) for each in tokens) if one_by_one or not tokens else (tokens,):
                taken, token = taken + len(piece), piece[-1]
                if text := decoder.decode(piece):
                    yield text
                if stop is not None and stop():
                    return
            if end is not None and position.ended:
                taken, token = taken + 1, end
                break
    finally:
        if taken:
            position.state, position.token = sampler.state(taken), token
    if rest := decoder.decode((), final=True):
        yield rest


def read_prompt(
    predictor: Predictor | ArrayModel, encoding: Encoding, prompt: str, position: Position
) -> tuple[State, int | None]:
    """The state after all but the last token of the position and the prompt, and that token.

    A model whose documents have ends starts as after an end, and a prompt begins a document. Otherwise, if both are
    empty, the model starts as after a line break; if the corpus has no line break, it starts with a
    random character (None), which is part of the text.
    """
    state, position.ended = position.state or _initial_state(predictor), False
    end = end_token(encoding)
    if position.state is None and position.token is None:
        position.token = end
    if position.token is not None and position.token == end:
        state = _initial_state(predictor)
    if not prompt:
        return state, line_break(encoding) if position.token is None else position.token
    ids = encoding.encode(prompt).astype("int64")
    if position.token is not None:
        ids = np.concatenate([[position.token], ids])
    return _read(predictor, ids, state), int(ids[-1])


def _initial_state(predictor: Predictor | ArrayModel) -> State:
    return predictor.initial_state() if isinstance(predictor, ArrayModel) else predictor.initial_state(1)


def _read(predictor: Predictor | ArrayModel, ids: NDArray[Any], state: State) -> State:
    """The state after all of these tokens but the last."""
    if isinstance(predictor, ArrayModel):
        return predictor.read(ids[:-1], state)
    import torch

    tokens = torch.from_numpy(ids)[:, None]
    for start in range(0, len(tokens) - 1, PROMPT_WINDOW):
        _, state = predictor.score(tokens[start : start + PROMPT_WINDOW + 1], state)
    return state


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
