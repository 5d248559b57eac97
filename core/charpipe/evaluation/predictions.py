"""A model's next-token predictions: the essay's "hello" figure, for any text."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from charpipe.models import Predictor
from charpipe.plugin import Encoding


@dataclass(frozen=True)
class Prediction:
    """The most likely next tokens after `prefix`, by printable name, with probabilities."""

    prefix: str
    likeliest: tuple[tuple[str, float], ...]


def predictions(predictor: Predictor, encoding: Encoding, text: str, top: int = 5) -> list[Prediction]:
    """The predictions after the first token of `text`, after the first two, and so on up to all of them."""
    state = predictor.initial_state(1)
    decoder, prefix, found = encoding.decoder(), "", []
    for token in encoding.encode(text).astype("int64"):
        logits, state = predictor.step(torch.tensor([token]), state)
        values, places = logits[0].float().cpu().softmax(-1).topk(min(top, encoding.size))
        prefix += decoder.decode([int(token)])
        labels = [encoding.labels[place] for place in places.tolist()]
        found.append(Prediction(prefix, tuple(zip(labels, values.tolist(), strict=True))))
    return found
