"""Novelty, for corpora that are lists of short lines: how many lines the model writes are not in the corpus."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from charpipe.corpus.ends import END
from charpipe.evaluation.novelty import Novelty, is_list, novelty, whole_lines
from charpipe.generation import SampleConfig, sample_documents, sample_many
from charpipe.models import Predictor
from charpipe.models.loaded import Loaded
from charpipe.plugin import end_token
from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput
from charpipe.text import open_tokens

LOOKED_AT = 200_000
"""Characters of the training text that decide whether the corpus is a list."""
LARGEST = 20_000_000
"""Tokens of a corpus whose lines are held in memory at once; a larger one is not asked."""
STREAMS, LENGTH = 16, 500
"""Texts written side by side, and tokens in each: about a thousand names."""
DOCUMENTS = 1000
"""Documents written where these have ends."""


def novelty_of(context: Context, loaded: Loaded, predictor: Predictor, tokens: StageOutput) -> Novelty | None:
    """The novelty of lines sampled from the model at temperature 1 with the seed of `[sample]`.

    None if the corpus is not a list of short lines, or too large to compare with.
    """
    splits = [open_tokens(context.path(tokens), split).tokens for split in ("train", "val", "test")]
    if sum(len(ids) for ids in splits) > LARGEST:
        return None
    ends = end_token(loaded.encoding) is not None

    def decoded(ids: NDArray[Any]) -> str:
        text = loaded.encoding.decoder().decode(ids.tolist(), final=True)
        return text.replace(END, "\n") if ends else text

    if not is_list(decoded(splits[0][:LOOKED_AT])):
        return None
    corpus = "".join(decoded(ids) for ids in splits)
    settings = SampleConfig(length=LENGTH, temperature=1.0, seed=context.config.sample.seed)
    context.check_stop("evaluate")
    if ends:
        documents = sample_documents(predictor, loaded.encoding, DOCUMENTS, settings)
        written = [document.text.strip() for document in documents if document.ended]
    else:
        written = whole_lines(sample_many(predictor, loaded.encoding, STREAMS, settings))
    return novelty(written, corpus.splitlines())
