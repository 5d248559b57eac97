"""Scores of a predictor on a text: nats per token, bits per character and per byte."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from charpipe.corpus.ends import END
from charpipe.errors import UsageError
from charpipe.evaluation.spans import RUN_UP, Spans, choose_spans
from charpipe.models import Predictor, State
from charpipe.plugin import Encoding, end_token
from charpipe.text.coverage import fit
from charpipe.text.ends import as_documents

LIMIT = 2_000_000
"""A split of up to this many tokens is scored completely."""
WINDOW = 256
LARGEST_LOGITS = 1 << 23
"""Maximum number of logits per window; a large vocabulary shortens the window."""


@dataclass(frozen=True)
class Scores:
    """`nats` per token over `tokens` scored tokens; `standard_error` is its standard error if only spans were scored.

    Bits are per character and per UTF-8 byte of the text, whatever the tokens are; None if unknown.
    """

    nats: float
    tokens: int
    whole: bool
    standard_error: float | None = None
    bits_per_char: float | None = None
    bits_per_byte: float | None = None
    impossible: int = 0
    """Scored tokens to which the model gives zero probability. With one or more, `nats` is infinite, and the metrics
    contain this count instead of the loss."""
    skipped: int = 0
    """Characters of the text that are not in the vocabulary; none of these figures includes them."""

    def metrics(self, split: str) -> dict[str, float]:
        """The metrics by name: `val/loss`, `val/bits_per_char`, `val/bits_per_byte`."""
        found = {
            f"{split}/loss": self.nats,
            f"{split}/bits_per_char": self.bits_per_char,
            f"{split}/bits_per_byte": self.bits_per_byte,
            f"{split}/loss_standard_error": self.standard_error,
            f"{split}/impossible_tokens": self.impossible or None,
        }
        return {name: value for name, value in found.items() if value is not None and math.isfinite(value)}


def score(
    predictor: Predictor,
    tokens: NDArray[Any],
    *,
    characters: int | None = None,
    utf8_bytes: int | None = None,
    limit: int = LIMIT,
    full: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score a split, whose text has `characters` characters and `utf8_bytes` bytes.

    The state is carried: every token except the first, which is not scored, is predicted from all tokens before it in
    its span and a run-up of 256 tokens. Above `limit` tokens, evenly spaced spans are scored, unless `full`.
    `progress` receives the tokens done and the total. Raises UsageError below two tokens.
    """
    if len(tokens) < 2:
        raise UsageError(f"{len(tokens)} tokens cannot be scored; at least two are needed")
    spans = choose_spans(len(tokens), None if full else limit)
    sums = np.zeros(len(spans.starts))
    todo, impossible = int(spans.counts.sum()), 0
    for nats, done in _walk(predictor, tokens, spans):
        impossible += int(np.isposinf(nats).sum())
        sums += nats.sum(0)
        if progress is not None:
            progress(min(done, todo), todo)
    mean = float(sums.sum() / todo)
    bits = mean * len(tokens) / math.log(2)
    return Scores(
        nats=mean,
        tokens=todo,
        whole=spans.whole,
        standard_error=None if spans.whole or impossible else _standard_error(sums / spans.counts),
        bits_per_char=bits / characters if characters else None,
        bits_per_byte=bits / utf8_bytes if utf8_bytes else None,
        impossible=impossible,
    )


def score_text(
    predictor: Predictor, encoding: Encoding, text: str, *, full: bool = False, strict: bool = True
) -> Scores:
    """Score a text. A character that is not in the vocabulary raises UsageError, which names it; unless `strict`, it
    is skipped and counted in `skipped`, and the scores are those of the text without it. For a model whose documents
    have ends the text is a whole document, or several with ends between them."""
    fitted = fit(text, encoding, "the text", strict=strict, typed=True)
    tokens = encoding.encode(as_documents(fitted.text, encoding))
    counted = fitted.text if end_token(encoding) is None else fitted.text.replace(END, "")
    utf8_bytes, characters = len(counted.encode("utf-8", "surrogatepass")), len(counted)
    scores = score(predictor, tokens, characters=characters, utf8_bytes=utf8_bytes, full=full)
    return replace(scores, skipped=fitted.skipped.total())


def _standard_error(means: NDArray[np.float64]) -> float | None:
    return float(means.std(ddof=1) / math.sqrt(len(means))) if len(means) > 1 else None


def _walk(
    predictor: Predictor, tokens: NDArray[Any], spans: Spans
) -> Iterator[tuple[NDArray[np.float64], int]]:
    """Nats [T, spans], window by window, and the number of tokens scored so far."""
    streams = len(spans.starts)
    state = _run_up(predictor, tokens, spans)
    window = max(1, min(WINDOW, LARGEST_LOGITS // (streams * predictor.vocabulary_size)))
    for offset in range(0, spans.length, window):
        wanted = min(window, spans.length - offset)
        nats, state = predictor.score(_columns(tokens, spans.starts + offset, wanted + 1), state)
        kept = np.arange(offset, offset + wanted)[:, None] < spans.counts[None]
        yield np.where(kept, nats.double().cpu().numpy(), 0.0), streams * (offset + wanted)


def _run_up(predictor: Predictor, tokens: NDArray[Any], spans: Spans) -> State:
    """The state before each span. The first span begins with the split, so it starts from the initial state."""
    initial = predictor.initial_state(len(spans.starts))
    if len(spans.starts) == 1 and spans.starts[0] == 0:
        return initial
    _, state = predictor.score(_columns(tokens, spans.starts - RUN_UP, RUN_UP + 1), initial)
    for name, values in state.items():
        values[:, 0] = initial[name][:, 0]
    return state


def _columns(tokens: NDArray[Any], starts: NDArray[np.int64], length: int) -> Tensor:
    """int64 [length, spans]: the tokens from each start. Positions outside the split repeat its ends and are never
    scored."""
    places = np.clip(starts[None] + np.arange(length)[:, None], 0, len(tokens) - 1)
    return torch.from_numpy(np.asarray(tokens[places]).astype(np.int64))
