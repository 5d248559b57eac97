"""How surprising a model finds a text."""

from __future__ import annotations

import math

import numpy as np
import torch

from charpipe.errors import UsageError
from charpipe.generation.sampling import line_break
from charpipe.models.contract import Predictor
from charpipe.plugin import Encoding, end_token


def surprise_of(predictor: Predictor, encoding: Encoding, prompt: str, text: str) -> tuple[float, ...]:
    """The surprise of each character of `text` after the prompt and a line break, in bits.

    Empty where it is not known: where a token is not a character, or the vocabulary has no line break; and of several
    documents together, between which the model wrote ends.
    """
    start = line_break(encoding) if end_token(encoding) is None else None
    try:
        ids = encoding.encode(prompt + text)
    except UsageError:
        return ()
    if start is None or not text or len(ids) != len(prompt) + len(text):
        return ()
    tokens = torch.from_numpy(np.concatenate([[start], ids]).astype("int64"))[:, None]
    nats, _ = predictor.score(tokens, predictor.initial_state(1))
    bits = (nats[-len(text) :, 0].double() / math.log(2)).tolist()
    return tuple(round(each, 2) for each in bits)
