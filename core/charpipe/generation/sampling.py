"""A model writes text, character by character: one stream as fast as it goes, or several texts side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import torch

from charpipe.errors import UsageError
from charpipe.generation.decoding import Decoding
from charpipe.generation.settings import SampleConfig
from charpipe.models import Predictor, State, open_stream
from charpipe.plugin import Decoder, Encoding

PROMPT_WINDOW = 1024
"""Tokens of the prompt read at once."""
Decoders = Mapping[str, Decoder] | None


def sample(
    predictor: Predictor,
    encoding: Encoding,
    settings: SampleConfig | None = None,
    decoders: Decoders = None,
) -> str:
    """The prompt and what the model writes after it."""
    settings = settings or SampleConfig()
    return settings.prompt + "".join(generate(predictor, encoding, settings, decoders=decoders))


def generate(
    predictor: Predictor,
    encoding: Encoding,
    settings: SampleConfig,
    stop: Callable[[], bool] | None = None,
    decoders: Decoders = None,
) -> Iterator[str]:
    """What the model writes after the prompt, piece by piece; `stop` is asked after each token.

    The same seed writes the same text on the same machine. `decoders` are those that the settings may name; without
    them the installed ones. Raises UsageError naming a character of the prompt that the vocabulary lacks, or a
    setting that does not fit.
    """
    decoding = Decoding(settings, encoding.size, decoders)
    begun = _begin(predictor, encoding, settings)  # before the first piece is asked for
    return _until(_pieces(predictor, encoding, settings.length, decoding, begun, stop), settings.stop)


def sample_many(
    predictor: Predictor,
    encoding: Encoding,
    count: int,
    settings: SampleConfig | None = None,
    decoders: Decoders = None,
) -> list[str]:
    """`count` texts after the same prompt, written side by side in one batch; the first is that of `sample`."""
    settings = settings or SampleConfig()
    decoding = Decoding(settings, encoding.size, decoders, count)
    state, first = _begin(predictor, encoding, settings)
    state = {name: value.repeat_interleave(count, 1) for name, value in state.items()}
    tokens = np.array([first if first is not None else _any(decoding, encoding, n) for n in range(count)])
    readers = [encoding.decoder() for _ in range(count)]
    texts, written = [""] * count, 0
    if first is None and settings.length:
        texts, written = [r.decode([int(t)]) for r, t in zip(readers, tokens, strict=True)], 1
    for _ in range(settings.length - written):
        logits, state = predictor.step(torch.from_numpy(tokens), state)
        rows = logits.float().cpu().numpy()
        tokens = np.array([decoding.draw(row, lane) for lane, row in enumerate(rows)])
        texts = [text + r.decode([int(t)]) for text, r, t in zip(texts, readers, tokens, strict=True)]
        if settings.stop and all(settings.stop in text for text in texts):
            break
    texts = [text + reader.decode([], final=True) for text, reader in zip(texts, readers, strict=True)]
    return [settings.prompt + "".join(_until([text], settings.stop)) for text in texts]


def _pieces(
    predictor: Predictor,
    encoding: Encoding,
    length: int,
    decoding: Decoding,
    begun: tuple[State, int | None],
    stop: Callable[[], bool] | None,
) -> Iterator[str]:
    state, token = begun
    decoder, written = encoding.decoder(), 0
    if token is None:
        token = _any(decoding, encoding)
        if length:
            written = 1
            yield decoder.decode([token])
    step, draw, decode = open_stream(predictor, state).step, decoding.draw, decoder.decode
    for _ in range(length - written):
        token = draw(step(token))
        if piece := decode((token,)):
            yield piece
        if stop is not None and stop():
            break
    if rest := decode((), final=True):
        yield rest


def _begin(predictor: Predictor, encoding: Encoding, settings: SampleConfig) -> tuple[State, int | None]:
    """The state that has read all but the last token of the prompt, and that token.

    Without a prompt the model starts as after a line break; where the corpus has none, with any character (None),
    which is written too.
    """
    state = predictor.initial_state(1)
    if not settings.prompt:
        return state, _line_break(encoding)
    ids = torch.from_numpy(encoding.encode(settings.prompt).astype("int64"))[:, None]
    for start in range(0, len(ids) - 1, PROMPT_WINDOW):
        _, state = predictor.score(ids[start : start + PROMPT_WINDOW + 1], state)
    return state, int(ids[-1])


def _any(decoding: Decoding, encoding: Encoding, lane: int = 0) -> int:
    return int(decoding.generators[lane].integers(encoding.size))


def _line_break(encoding: Encoding) -> int | None:
    """The token of a line break, where the vocabulary has it as one token."""
    try:
        ids = encoding.encode("\n")
    except UsageError:
        return None
    return int(ids[0]) if len(ids) == 1 else None


def _until(pieces: Iterable[str], end: str | None) -> Iterator[str]:
    """The pieces up to the first `end` in their text; what may be its beginning is held back."""
    if end is None:
        yield from pieces
        return
    held = ""
    for piece in pieces:
        held += piece
        found = held.find(end)
        if found >= 0:
            if found:
                yield held[:found]
            return
        keep = next(n for n in range(min(len(end) - 1, len(held)), -1, -1) if held.endswith(end[:n]))
        if len(held) > keep:
            yield held[: len(held) - keep]
            held = held[len(held) - keep :]
    if held:
        yield held
