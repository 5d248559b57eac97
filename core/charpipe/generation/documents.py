"""Whole documents, written by a model that learned where they end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import UsageError
from charpipe.generation.batches import EndedBy, generate_many
from charpipe.generation.sampling import Decoders, generate, sample
from charpipe.generation.state import Position
from charpipe.models import Predictor
from charpipe.plugin import Encoding, end_token

MOST_AT_ONCE = 5
"""Documents of a sample that shows what a model writes."""
NO_ENDS = (
    "this model writes no documents: its corpus has no ends; train on one with ends = true (corpora.NAME), or leave "
    "--documents out"
)


@dataclass(frozen=True)
class Document:
    """A document that begins with the prompt, and what ended it."""

    text: str
    ended_by: EndedBy

    @property
    def ended(self) -> bool:
        """Whether the model wrote the document's end: before a stop text, a complete match or the length ended it."""
        return self.ended_by == "model"

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"text": self.text, "ended": self.ended, "ended_by": self.ended_by}


def sample_documents(
    predictor: Predictor,
    encoding: Encoding,
    count: int,
    settings: SampleConfig | None = None,
    decoders: Decoders = None,
) -> list[Document]:
    """`count` documents of up to `settings.length` tokens each, generated in one batch.

    Raises UsageError for a model whose vocabulary has no end token.
    """
    check_ends(encoding)
    settings = settings or SampleConfig()
    texts, ended = [settings.prompt] * count, list[EndedBy](["length"]) * count
    for pieces in generate_many(predictor, encoding, count, settings, decoders, ended):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
    return [Document(text, by) for text, by in zip(texts, ended, strict=True)]


def check_ends(encoding: Encoding) -> None:
    """Raise UsageError for a model whose vocabulary has no end token."""
    if end_token(encoding) is None:
        raise UsageError(NO_ENDS)


def sample_some(
    predictor: Predictor, encoding: Encoding, settings: SampleConfig, decoders: Decoders = None
) -> str:
    """A sample to look at: the prompt and the text after it, or, of a model whose documents have ends, several
    documents of that length together, with line breaks between them."""
    if end_token(encoding) is None:
        return sample(predictor, encoding, settings, decoders)
    found: list[str] = []
    position, left = Position(), settings.length
    while not found or (position.ended and left > 0 and len(found) < MOST_AT_ONCE):
        position = Position(noise=position.noise)
        wanted = settings.model_copy(update={"length": left})
        text = "".join(generate(predictor, encoding, wanted, decoders=decoders, position=position))
        found.append((settings.prompt + text).removesuffix("\n"))
        left -= len(text) + 1
    return ("\n\n" if any("\n" in text for text in found) else "\n").join(found)
