"""What a model expects next: the blog's "hello" figure, for any text."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from charpipe.models import Predictor
from charpipe.plugin import Encoding


@dataclass(frozen=True)
class Prediction:
    """After reading `prefix`, the likeliest next tokens by printable names, with probabilities."""

    prefix: str
    likeliest: tuple[tuple[str, float], ...]


def predictions(predictor: Predictor, encoding: Encoding, text: str, top: int = 5) -> list[Prediction]:
    """The model's expectations after the first token of `text`, the first two, and so on to all of them."""
    state = predictor.initial_state(1)
    decoder, prefix, found = encoding.decoder(), "", []
    for token in encoding.encode(text).astype("int64"):
        logits, state = predictor.step(torch.tensor([token]), state)
        values, places = logits[0].float().cpu().softmax(-1).topk(min(top, encoding.size))
        prefix += decoder.decode([int(token)])
        labels = [encoding.labels[place] for place in places.tolist()]
        found.append(Prediction(prefix, tuple(zip(labels, values.tolist(), strict=True))))
    return found
