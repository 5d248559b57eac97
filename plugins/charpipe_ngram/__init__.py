"""Counting instead of learning: how often each character followed the last few (Shannon 1948), up to 20 at a time."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from charpipe.plugin import Architecture, ModelConfig, hookimpl


class NgramConfig(ModelConfig):
    """The `[architectures.ngram]` table."""

    order: int = Field(
        10, ge=1, le=20, description="characters of the longest n-gram: the one predicted and those before it"
    )
    smoothing: Literal["kneser-ney", "none"] = Field(
        "kneser-ney",
        description="interpolated modified Kneser-Ney, or none: plain shares, and 0 for what was never seen",
    )
    discounts: Literal["tuned", "estimated"] = Field(
        "tuned",
        description="Kneser-Ney's: those that predict the last of the training text best, or estimated from counts",
    )
    max_tokens: int = Field(
        20_000_000,
        ge=2,
        le=2_000_000_000,
        description="training tokens counted at most, the last ones; each takes about 100 bytes while counting",
    )

    @property
    def title(self) -> str:
        """`order 10`."""
        return f"order {self.order}" + (" unsmoothed" if self.smoothing == "none" else "")


@hookimpl
def charpipe_architectures() -> Iterable[Architecture]:
    """One architecture, `ngram`."""
    return [
        Architecture(
            "ngram",
            "n-gram counts, Kneser-Ney smoothed or not at all",
            NgramConfig,
            fit="charpipe_ngram.fitting:fit",
            restore="charpipe_ngram.fitting:restore",
        )
    ]
