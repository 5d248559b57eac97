"""Novelty, for corpora that are lists of short lines: how many lines the model writes are not in the corpus."""

from __future__ import annotations

from charpipe.evaluation.novelty import Novelty, is_list, novelty, whole_lines
from charpipe.generation import SampleConfig, sample_many
from charpipe.models import Predictor
from charpipe.models.loaded import Loaded
from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput
from charpipe.text import open_tokens

LOOKED_AT = 200_000
"""Characters of the training text that decide whether the corpus is a list."""
LARGEST = 20_000_000
"""Tokens of a corpus whose lines are held in memory at once; a larger one is not asked."""
STREAMS, LENGTH = 16, 500
"""Texts written side by side, and tokens in each: about a thousand names."""


def novelty_of(context: Context, loaded: Loaded, predictor: Predictor, tokens: StageOutput) -> Novelty | None:
    """The novelty of lines sampled from the model at temperature 1 with the seed of `[sample]`.

    None if the corpus is not a list of short lines, or too large to compare with.
    """
    splits = [open_tokens(context.path(tokens), split).tokens for split in ("train", "val", "test")]
    if sum(len(ids) for ids in splits) > LARGEST:
        return None
    decode = loaded.encoding.decoder
    if not is_list(decode().decode(splits[0][:LOOKED_AT].tolist(), final=True)):
        return None
    corpus = "".join(decode().decode(ids.tolist(), final=True) for ids in splits)
    settings = SampleConfig(length=LENGTH, temperature=1.0, seed=context.config.sample.seed)
    context.check_stop("evaluate")
    return novelty(
        whole_lines(sample_many(predictor, loaded.encoding, STREAMS, settings)), corpus.splitlines()
    )
