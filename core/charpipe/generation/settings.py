"""What a user can set about sampling."""

from __future__ import annotations

from pydantic import Field

from charpipe.plugin import Options


class SampleConfig(Options):
    """The `[sample]` table."""

    length: int = Field(1000, ge=0, le=100_000_000, description="tokens to write after the prompt")
    temperature: float = Field(
        0.8,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="0: always the likeliest; 1: as learnt; above: wilder",
    )
    prompt: str = Field("", description="text the model reads before it writes")
    seed: int | None = Field(1, ge=0, lt=2**63, description="of the choices; null: another text every time")
