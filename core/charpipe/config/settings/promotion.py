"""What a user can set about promotion; read without importing torch."""

from __future__ import annotations

from pydantic import Field

from charpipe.plugin import Options


class PromotionConfig(Options):
    """The `[promotion]` table."""

    confidence: float = Field(
        0.95,
        ge=0.5,
        lt=1,
        allow_inf_nan=False,
        description="fraction of bootstrap resamples in which a challenger must be better to become champion",
    )
    characters: int = Field(
        500_000,
        ge=1000,
        le=100_000_000,
        description="maximum number of held-out characters on which champion and challenger are compared",
    )
    resamples: int = Field(
        10_000, ge=100, le=1_000_000, description="resamples of the paired bootstrap that decides"
    )
