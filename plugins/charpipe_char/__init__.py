"""The `char` tokenizer: a token is a Unicode code point of the corpus."""

from __future__ import annotations

from pydantic import Field

from charpipe.plugin import Options, Tokenizer, hookimpl


class CharConfig(Options):
    """What is left out of the vocabulary, and spelled with nibbles instead."""

    min_count: int = Field(1, ge=1, description="characters rarer than this are spelled with nibbles")
    max_size: int | None = Field(None, ge=17, description="most tokens, nibbles included")


@hookimpl
def charpipe_tokenizers() -> list[Tokenizer]:
    """The tokenizer of this plugin."""
    return [
        Tokenizer(
            "char",
            "a token is a character (Unicode code point)",
            "charpipe_char.characters:learn",
            "charpipe_char.characters:load",
            CharConfig,
            extend="charpipe_char.characters:extend",
        )
    ]
