"""Checks that a run can be sampled, before it is trained."""

from __future__ import annotations

from charpipe.generation.decoding import Decoding
from charpipe.stages.plan import TrainingJob
from charpipe.text.coverage import fit


def check_sampling(plan: TrainingJob) -> None:
    """Raise UsageError if the vocabulary lacks a character of the prompt, or a decoder or its options are invalid."""
    from charpipe.text import load_vocabulary

    context = plan.context
    settings, registry = context.config.sample, context.registry
    encoding = load_vocabulary(context.path(plan.vocabulary) / "vocabulary.json", registry.all("tokenizer"))
    Decoding(settings, encoding.size, registry.all("decoder"), encoding=encoding)
    if settings.prompt:
        fit(settings.prompt, encoding, "the prompt (sample.prompt)", strict=True, typed=True)
