"""What a user can set about housekeeping."""

from __future__ import annotations

from pydantic import Field

from charpipe.plugin import Options


class RetentionConfig(Options):
    """The `[retention]` table: what `charpipe gc` leaves. A run goes only if it is beyond both limits."""

    keep_runs: int = Field(20, ge=1, le=1_000_000, description="newest runs of each corpus to keep")
    keep_days: float = Field(
        30.0,
        ge=0,
        le=36_500,
        allow_inf_nan=False,
        description="days that every run is kept, however many there are",
    )
    keep_versions: int = Field(
        10,
        ge=1,
        le=1_000_000,
        description="newest models of each corpus to keep besides champion and previous",
    )
    grace_hours: float = Field(
        24.0,
        ge=0,
        le=24_000,
        allow_inf_nan=False,
        description="hours since its last use before anything is removed, so that running commands keep their files",
    )
