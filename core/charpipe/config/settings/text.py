"""How a corpus is divided into splits and cut into tokens."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from charpipe.plugin import Options


class SplitConfig(Options):
    """The shares of a corpus that train, validate and test, and how documents are told apart."""

    train: float = Field(0.9, ge=0, le=1, description="fraction of the text to train on")
    val: float = Field(0.05, ge=0, le=1, description="fraction that is scored during training")
    test: float = Field(0.05, ge=0, le=1, description="fraction that is scored once, at the end")
    by: Literal["auto", "documents", "contiguous"] = Field(
        "auto",
        description="whole documents by a keyed hash of their path, or one cut through the joined text; "
        "auto: documents from 100 documents on",
    )
    salt: str | None = Field(
        None, description="key of the hash that assigns documents to splits; unset: the name of the corpus"
    )

    @model_validator(mode="after")
    def _shares_sum_to_one(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the fractions of train, val and test must sum to 1, not {total:g}")
        return self


class TokenizerConfig(Options):
    """Which tokenizer a corpus uses, and what it leaves out of its vocabulary."""

    name: str = Field("char", min_length=1, description="a tokenizer by name: char, byte, or a plugin's")
    min_count: int = Field(1, ge=1, description="characters rarer than this are spelled with nibbles")
    max_size: int | None = Field(
        None,
        ge=17,
        description="maximum number of tokens, nibbles included; the rarest characters are left out",
    )
