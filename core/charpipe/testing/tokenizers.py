"""The contract of tokenizers as rules, each checked on a small text."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from charpipe.errors import CharpipeError
from charpipe.plugin import Encoding, Tokenizer, resolve

TEXT = "The quick brown fox\n\tjumps over 13 lazy dogs: “äöü”, naïve café, 日本.\n"
UNKNOWN = "🦊"


@dataclass(frozen=True)
class TokenizerCase:
    """A tokenizer, the vocabulary that it learnt of the text, and its encoding."""

    tokenizer: Tokenizer
    vocabulary: dict[str, Any]
    encoding: Encoding


def learn(tokenizer: Tokenizer) -> TokenizerCase:
    """Learn a vocabulary of the text, store it as JSON, and load it."""
    counts = Counter(TEXT) if tokenizer.counts else {}
    learnt = json.loads(json.dumps(resolve(tokenizer.learn)(counts, tokenizer.config())))
    if not isinstance(learnt, dict):
        raise CharpipeError(f"learn returned a {type(learnt).__name__}")
    vocabulary = {"tokenizer": tokenizer.name, **learnt}
    return TokenizerCase(tokenizer, vocabulary, resolve(tokenizer.load)(vocabulary))


def labels(case: TokenizerCase) -> str | None:
    """There is at least one token, and each has a printable label."""
    size, found = case.encoding.size, list(case.encoding.labels)
    if size < 1 or len(found) != size:
        return f"size is {size}, and there are {len(found)} labels"
    odd = [label for label in found if not isinstance(label, str) or not label.isprintable()]
    return f"the label {odd[0]!r} is not printable" if odd else None


def unsigned_tokens(case: TokenizerCase) -> str | None:
    """encode(text) returns an array of one dimension and the smallest unsigned type, with tokens below size."""
    tokens = case.encoding.encode(TEXT)
    wanted = np.min_scalar_type(case.encoding.size - 1)
    if not isinstance(tokens, np.ndarray) or tokens.ndim != 1 or tokens.dtype != wanted:
        return f"it returned {getattr(tokens, 'dtype', type(tokens).__name__)} instead of {wanted}"
    return (
        f"the token {tokens.max()} is not below {case.encoding.size}"
        if tokens.max() >= case.encoding.size
        else None
    )


def round_trip(case: TokenizerCase) -> str | None:
    """Decoding the tokens of a text gives the text."""
    found = case.encoding.decoder().decode(case.encoding.encode(TEXT), final=True)
    return None if found == TEXT else f"{TEXT!r} came back as {found!r}"


def in_pieces(case: TokenizerCase) -> str | None:
    """Decoding one token at a time gives the same text."""
    decoder, tokens = case.encoding.decoder(), case.encoding.encode(TEXT)
    found = "".join(decoder.decode([int(token)]) for token in tokens) + decoder.decode([], final=True)
    return None if found == TEXT else f"token by token it came back as {found!r}"


def empty(case: TokenizerCase) -> str | None:
    """An empty text has no tokens."""
    found = len(case.encoding.encode(""))
    return None if not found else f"it has {found}"


def unknown(case: TokenizerCase) -> str | None:
    """A character that the corpus lacks is refused by a UsageError, or comes back unchanged."""
    try:
        tokens = case.encoding.encode(UNKNOWN)
    except CharpipeError:
        return None
    found = case.encoding.decoder().decode(tokens, final=True)
    return None if found == UNKNOWN else f"{UNKNOWN!r} came back as {found!r}"


def extended(case: TokenizerCase) -> str | None:
    """An extended vocabulary gives every text the tokens that it had."""
    if case.tokenizer.extend is None:
        return None
    counts = Counter(UNKNOWN) if case.tokenizer.counts else {}
    longer = resolve(case.tokenizer.extend)(case.vocabulary, counts, case.tokenizer.config())
    found = resolve(case.tokenizer.load)(longer).encode(TEXT)
    return None if found.tolist() == case.encoding.encode(TEXT).tolist() else "the tokens changed"


RULES = (labels, unsigned_tokens, round_trip, in_pieces, empty, unknown, extended)
