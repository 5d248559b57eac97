"""The usual ways to choose the next character: temperature, top-k, nucleus, min-p, and always the likeliest."""

from collections.abc import Iterable

from pydantic import Field

from charpipe.plugin import Decoder, Options, hookimpl


class Temperature(Options):
    """Divides the scores."""

    temperature: float = Field(1.0, gt=0, allow_inf_nan=False, description="1: as learnt; above: wilder")


class TopK(Options):
    """Keeps so many."""

    k: int = Field(ge=1, description="how many of the likeliest stay")


class Nucleus(Options):
    """Keeps the likeliest that together reach a share."""

    p: float = Field(gt=0, le=1, description="probability that what stays must reach")


class MinP(Options):
    """Keeps what is not much less likely than the likeliest."""

    p: float = Field(
        ge=0, le=1, description="share of the greatest probability that a character needs to stay"
    )


class RegularExpression(Options):
    """Makes the whole text match a regular expression."""

    pattern: str = Field(
        min_length=1,
        examples=["[a-z]+"],
        description="Python's syntax, without look-around and references to groups",
    )


@hookimpl
def charpipe_decoders() -> Iterable[Decoder]:
    """Five decoders, which `[sample]` sets by `temperature`, `top_k`, `top_p`, `min_p` and `greedy`, and `regex`."""
    here = "charpipe_decoding.decoders"
    return [
        Decoder("greedy", "always the likeliest", f"{here}:greedy"),
        Decoder("temperature", "sharper below 1, wilder above", f"{here}:temperature", Temperature),
        Decoder("top-k", "only the k likeliest", f"{here}:top_k", TopK),
        Decoder("nucleus", "only the likeliest that together have probability p", f"{here}:nucleus", Nucleus),
        Decoder("min-p", "only what has p times the greatest probability", f"{here}:min_p", MinP),
        Decoder(
            "regex",
            "only texts that match a regular expression as a whole",
            config=RegularExpression,
            constrain="charpipe_decoding.expressions.constraint:constrain",
        ),
    ]
