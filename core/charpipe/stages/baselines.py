"""Baselines: the bits per character of general compressors on held-out text, computed once per token object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from charpipe.evaluation.baselines import LARGEST_TEXT, LARGEST_TRAINING, baselines, is_baseline, named
from charpipe.plugin import Encoding, end_token
from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput
from charpipe.store import Action
from charpipe.text import open_tokens

VERSION = 1
"""The version of the stage."""


def baseline_metrics(
    context: Context, corpus: str, tokens: StageOutput, encoding: Encoding
) -> dict[str, float]:
    """`{"test/xz_bits_per_char": 2.49, "test/xz_after_training_bits_per_char": 2.14, ...}`, or of validation where
    there is no test split; empty without held-out text. Computed once and kept in the store."""
    split = next((name for name in ("test", "val") if tokens.facts["tokens"][name]), None)
    if split is None:
        return {}
    ends = end_token(encoding) is not None
    limits = {"characters": LARGEST_TEXT, "training": LARGEST_TRAINING}
    action = Action("baselines", VERSION, {"tokens": tokens.digest}, limits, {})

    def work(folder: Any) -> dict[str, Any]:
        held, training = (_text(context, tokens, encoding, name) for name in (split, "train"))
        return {"split": split, "bits_per_char": baselines(held, training, ends=ends)}

    built = context.store.build(action, work, corpus, while_waiting=lambda: context.check_stop("evaluate"))
    return named(built.facts["split"], built.facts["bits_per_char"])


def recorded_baselines(metrics: Mapping[str, float]) -> dict[str, float]:
    """The baselines among a run's metrics."""
    return {name: value for name, value in metrics.items() if is_baseline(name)}


def _text(context: Context, tokens: StageOutput, encoding: Encoding, split: str) -> str:
    """The start of a held-out split, or the end of the training split: about as much as is compressed."""
    ids = open_tokens(context.path(tokens), split).tokens
    cut = ids[-LARGEST_TRAINING:] if split == "train" else ids[:LARGEST_TEXT]
    return encoding.decoder().decode(cut.tolist(), final=True)
