"""What a user can set about sampling."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from charpipe.plugin import Options


class SampleConfig(Options):
    """The `[sample]` table."""

    length: int = Field(1000, ge=0, le=100_000_000, description="tokens to generate after the prompt")
    temperature: float = Field(
        0.8,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="0: always the most probable token; 1: the model's distribution; above 1: more random",
    )
    top_k: int | None = Field(None, ge=1, description="sample from this many of the most probable tokens")
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="sample from the most probable tokens that together have this probability",
    )
    min_p: float | None = Field(
        None,
        ge=0,
        le=1,
        description="leave out tokens with less than this fraction of the highest probability",
    )
    greedy: bool = Field(False, description="always take the most probable token")
    stop: str | list[str] | None = Field(
        None,
        description="text before which generation stops, or a list of such texts: before the first of them",
    )
    decoders: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="settings of further decoders by name, applied after those above"
    )
    prompt: str = Field("", description="text that the model reads before it generates")
    precision: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "float32",
        description="of the products of many texts at once, and on CUDA of one; int8 on a CPU only; auto: the fastest",
    )
    engine: Literal["auto", "compiled", "arrays", "plain"] = Field(
        "auto",
        description="how a text is written on a CPU: compiled loops (numba; by itself where a long text repays "
        "their loading), numpy arrays, or PyTorch; all write the same text but for rounding",
    )
    cuda_graphs: bool = Field(
        False,
        description="replay a captured step on CUDA; unverified until benchmarks/results says otherwise",
    )
    seed: int | None = Field(1, ge=0, lt=2**63, description="of the choices; null: another text every time")

    @field_validator("stop", mode="before")
    @classmethod
    def _check_stop(cls, value: Any) -> Any:
        texts = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(text, str) and text for text in texts):
            raise ValueError("a text to stop at has at least one character")
        return value or None
