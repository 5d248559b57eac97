"""Choose the texts to inspect: one to show and two for the search, from a user's file or from the run's splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charpipe.errors import UsageError
from charpipe.inspection.segments import MIN_LENGTH
from charpipe.plugin import Encoding

MAX_SHOWN = 20_000
"""Maximum characters shown on a page."""
USUAL = (1000, 5000)
VALUES = 4_000_000
"""Maximum activations on a page, one byte each, unless another length is requested."""

Tokens = NDArray[Any]


@dataclass(frozen=True)
class Passages:
    """`shown` is the text that is read and shown, from `source`; the search selects units on the tokens `choosing`
    and scores them on `held_out`, described by `searched`; None if there is too little text. `notices` say what was
    left out."""

    shown: str
    source: str
    choosing: Tokens | None
    held_out: Tokens | None
    searched: str
    notices: tuple[str, ...] = ()


def length_for(units: int, wanted: int | None) -> int:
    """The characters to show: `wanted`, or what keeps the page at a few MB. Raises UsageError above MAX_SHOWN."""
    if wanted is None:
        return int(np.clip(VALUES // max(1, units), *USUAL))
    if not 2 <= wanted <= MAX_SHOWN:
        raise UsageError(
            f"--length {wanted:,} is not between 2 and {MAX_SHOWN:,} characters, which is what a page can show; "
            "take a part of the text"
        )
    return wanted


def of_text(
    text: str,
    name: str,
    encoding: Encoding,
    length: int,
    searched: int,
    characters: int,
    skipped: int,
    notices: tuple[str, ...] = (),
) -> Passages:
    """Passages from what is left of a text of `characters` characters, of which `skipped` were read and left out: its
    beginning is shown; its first half selects units, its second half scores them, up to `searched` characters. Raises
    UsageError for a character that is not in the vocabulary."""
    tokens = encoding.encode(text[:searched]).astype("int64") if searched else np.zeros(0, np.int64)
    middle = len(tokens) // 2
    read = len(text) + skipped
    if characters > read or len(text) > length:
        known = " that the vocabulary has" if skipped else ""
        shown = f"the first {min(length, len(text)):,} characters of {name}{known} are shown"
        used = "" if not searched else f", and its first {min(searched, len(text)):,} searched"
        part = f", of which {read:,} were read" if skipped and characters > read else ""
        notices = (*notices, f"{shown}{used}; it has {characters:,} characters{part}")
    if skipped > read / 2:
        notices = (
            *notices,
            f"{name} does not fit the model: the vocabulary lacks {skipped:,} of the {read:,} characters that were "
            "read; inspect a text like the training text",
        )
    choosing, held_out = _enough(tokens[:middle], tokens[middle:])
    return Passages(text[:length], name, choosing, held_out, f"the two halves of {name}", notices)


def shown_split(splits: Mapping[str, Tokens]) -> str:
    """The split whose beginning is shown."""
    return next((name for name in ("val", "test", "train") if len(splits.get(name, ())) > 1), "train")


def of_splits(splits: Mapping[str, Tokens], encoding: Encoding, length: int, corpus: str) -> Passages:
    """Passages from the splits: the beginning of the validation text is shown; the validation text selects units, and
    the test text scores them.

    If one of them is too short for that, the halves of the other are used; if both are, the halves of the training
    text.
    """
    val, test, train = (splits.get(name, np.zeros(0, np.int64)) for name in ("val", "test", "train"))
    names = {"val": val, "test": test, "train": train}
    shown = shown_split(splits)
    text = "".join(encoding.decoder().decode(names[shown][: 8 * length].tolist()))[:length]
    words = {"val": "validation", "test": "test", "train": "training"}
    source = f"{corpus}, {words[shown]} text"
    if len(val) >= MIN_LENGTH and len(test) >= MIN_LENGTH:
        return Passages(text, source, val, test, f"the validation and the test text of {corpus}")
    halved = max(("val", "test"), key=lambda name: len(names[name]))
    if len(names[halved]) < 2 * MIN_LENGTH:
        halved = "train"
    middle = len(names[halved]) // 2
    choosing, held_out = _enough(names[halved][:middle], names[halved][middle:])
    notices = []
    if halved == "train" and choosing is not None:
        notices.append(
            "the search uses the training text, on which the model was trained: no other text is long enough"
        )
    return Passages(
        text,
        source,
        choosing,
        held_out,
        f"the two halves of the {words[halved]} text of {corpus}",
        tuple(notices),
    )


def _enough(choosing: Tokens, held_out: Tokens) -> tuple[Tokens | None, Tokens | None]:
    enough = min(len(choosing), len(held_out)) >= MIN_LENGTH
    return (choosing, held_out) if enough else (None, None)
