"""What the page asks for, and the answers as JSON values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import UsageError
from charpipe.generation.scored import ScoredPiece, generate_scored, next_character, read_scored
from charpipe.models import Predictor
from charpipe.pages import embeddable, render
from charpipe.plugin import Decoder, Encoding
from charpipe.text.coverage import fit

BARS = 12
"""Tokens with a bar."""
MAX_LENGTH = 5000
"""Tokens of a text on the page."""
MAX_PROMPT = 20_000
"""Characters of a prompt."""
FACES = {"\\n": "⏎", "\\t": "⇥", "\\r": "␍"}


class WriteRequest(BaseModel):
    """A text that the page asks for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str = Field(max_length=MAX_PROMPT)
    length: int = Field(ge=1, le=MAX_LENGTH)
    temperature: float = Field(ge=0, le=100, allow_inf_nan=False)
    top_k: int | None = Field(ge=1)
    top_p: float | None = Field(gt=0, le=1)
    seed: int | None = Field(ge=0, lt=2**63)


class NextRequest(BaseModel):
    """A text, of which the page asks what comes next."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str = Field(max_length=MAX_PROMPT)


class Playground:
    """One model and its settings. It keeps nothing between requests, which may come in several threads."""

    def __init__(
        self,
        run: str,
        title: str,
        predictor: Predictor,
        encoding: Encoding,
        settings: SampleConfig,
        decoders: Mapping[str, Decoder] | None = None,
    ) -> None:
        self.run, self.title, self.settings = run, title, settings
        self._predictor, self._encoding, self._decoders = predictor, encoding, decoders
        self._faces = [FACES.get(label, label) for label in encoding.labels]

    def page(self) -> str:
        """The page with its first values."""
        settings, size = self.settings, self._encoding.size
        first = {
            "prompt": settings.prompt,
            "length": min(max(1, settings.length), MAX_LENGTH),
            "temperature": 0.0 if settings.greedy else settings.temperature,
            "top_k": settings.top_k if settings.top_k is not None and settings.top_k < size else None,
            "top_p": settings.top_p,
            "seed": settings.seed,
        }
        return render(
            "playground.html",
            run=self.run,
            title=self.title,
            size=size,
            longest=MAX_LENGTH,
            data=embeddable({"first": first, "size": size}),
        )

    def write(self, values: Any) -> Iterator[dict[str, Any]]:
        """The prompt's characters, then those that the model writes, each with its prediction.

        Raises UsageError before the first one for an invalid request, and for a character that is not in the
        vocabulary, which the message names.
        """
        request = _request(WriteRequest, values)
        fit(request.prompt, self._encoding, "the prompt", strict=True, typed=True)
        settings = self.settings.model_copy(update={**request.model_dump(), "greedy": False})
        written = generate_scored(self._predictor, self._encoding, settings, self._decoders)
        return self._answers(request.prompt, written)

    def _answers(self, prompt: str, written: Iterator[ScoredPiece]) -> Iterator[dict[str, Any]]:
        for piece in read_scored(self._predictor, self._encoding, prompt):
            yield {"given": True, **self._piece(piece)}
        for piece in written:
            yield self._piece(piece)
        yield {"done": True}

    def next(self, values: Any) -> dict[str, Any]:
        """The prediction after a text. Raises UsageError as `write` does."""
        text = _request(NextRequest, values).text
        fit(text, self._encoding, "the prompt", strict=True, typed=True)
        return {"bars": self._bars(next_character(self._predictor, self._encoding, text))}

    def _piece(self, piece: ScoredPiece) -> dict[str, Any]:
        chance, prediction = piece.log_probability, piece.log_probabilities
        return {
            "text": piece.text,
            "chance": None if chance is None else math.exp(chance),
            "bars": [] if prediction is None else self._bars(prediction),
        }

    def _bars(self, log_probabilities: NDArray[np.float64]) -> list[list[Any]]:
        """The most probable tokens, each as its face and its probability."""
        order = np.argsort(-log_probabilities, kind="stable")[:BARS]
        return [[self._faces[n], round(float(np.exp(log_probabilities[n])), 5)] for n in order.tolist()]


def _request(model: type[Any], values: Any) -> Any:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{'.'.join(map(str, first['loc'])) or 'the request'}: {first['msg']}") from error
