"""The end token of a vocabulary, for corpora whose documents have ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from charpipe.corpus.ends import END, NAME
from charpipe.errors import CorpusError, UsageError
from charpipe.plugin import Encoding, end_token
from charpipe.plugins.contracts import END_TOKEN

LABEL = "<end>"
_CHUNK = 1 << 24


def one_token(encoding: Encoding, tokenizer: str) -> int:
    """The token of the character that ends documents. Raises UsageError where it is not a single token."""
    try:
        ids = encoding.encode(END)
    except UsageError:
        ids = np.empty(0)
    if len(ids) != 1:
        raise UsageError(
            f"the tokenizer {tokenizer!r} has {len(ids)} tokens for the end of a document ({NAME}), and ends = true "
            "needs one; set another tokenizer (char or byte), leave ends out, or leave --from out"
        )
    return int(ids[0])


def with_end_token(encoding: Encoding, vocabulary: Mapping[str, Any], subject: str) -> Encoding:
    """The encoding, which knows its vocabulary's end token, if there is one. Raises CorpusError where it is none."""
    token = vocabulary.get(END_TOKEN)
    if token is None:
        return encoding
    if not isinstance(token, int) or isinstance(token, bool) or not 0 <= token < encoding.size:
        raise CorpusError(f"{subject}: its end token {token!r} is none of its {encoding.size} tokens")
    labels = list(encoding.labels)
    labels[token] = LABEL
    try:
        encoding.labels = labels
        encoding.end_token = token  # type: ignore[attr-defined]
    except (AttributeError, TypeError) as error:
        raise CorpusError(f"{subject}: the encoding of its tokenizer takes no end token: {error}") from error
    return encoding


def as_documents(text: str, encoding: Encoding) -> str:
    """The text as whole documents, between ends, if the vocabulary has an end token; else the text itself."""
    if end_token(encoding) is None or not text:
        return text
    return END + text.removeprefix(END).removesuffix(END) + END


def count_ends(path: Path, token: int) -> int:
    """How often the token is in a token file."""
    tokens = np.load(path, mmap_mode="r" if path.stat().st_size > 128 else None)
    return sum(
        int(np.count_nonzero(tokens[at : at + _CHUNK] == token)) for at in range(0, len(tokens), _CHUNK)
    )
