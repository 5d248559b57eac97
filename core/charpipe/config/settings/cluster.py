"""What a user can set about a Ray cluster; read without importing Ray."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from charpipe.plugin import Options

ADDRESS = re.compile(r"auto|(?:ray://)?(?:[\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}")


class ClusterConfig(Options):
    """The `[cluster]` table."""

    ray: str | None = Field(
        None,
        description="the Ray cluster of `--runner ray`: HOST:PORT of its head, or auto: the one of this machine",
    )
    cpus_per_training: int = Field(1, ge=1, le=4096, description="CPUs of a node that each training gets")
    gpus_per_training: float = Field(
        0.0,
        ge=0,
        le=64,
        allow_inf_nan=False,
        description="GPUs of a node that each training gets; 0.5: two trainings share one",
    )

    @field_validator("ray")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not ADDRESS.fullmatch(value):
            raise ValueError("write HOST:PORT, as in 10.0.0.1:6379, or auto")
        return value

    @field_validator("gpus_per_training")
    @classmethod
    def _is_whole_or_a_part(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("write a whole number of GPUs, or a part of one, as in 0.5")
        return value
