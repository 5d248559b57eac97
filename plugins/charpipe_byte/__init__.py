"""The `byte` tokenizer: a token is a byte of the text's UTF-8, 256 in all."""

from __future__ import annotations

from charpipe.plugin import Tokenizer, hookimpl


@hookimpl
def charpipe_tokenizers() -> list[Tokenizer]:
    """The tokenizer of this plugin."""
    return [
        Tokenizer(
            "byte",
            "a token is a byte of the text's UTF-8",
            "charpipe_byte.bytewise:learn",
            "charpipe_byte.bytewise:load",
            counts=False,
            extend="charpipe_byte.bytewise:extend",
        )
    ]
