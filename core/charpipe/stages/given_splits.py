"""What a user should know of splits that are given: by files, or by sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any, Literal

from charpipe.config.settings.split_values import Unit
from charpipe.config.settings.text import NAMES, SplitConfig

Level = Literal["info", "warning"]


def given_notices(split: SplitConfig, facts: Mapping[str, Any]) -> Iterator[tuple[str, Level]]:
    """Notices of tokens whose splits are given, from their counts; none if all is as one expects."""
    given = facts.get("given", {})
    if shared := given.get("shared"):
        which = "1 document" if shared == 1 else f"{shared:,} documents"
        yield (
            f"{which} of val or test {'has' if shared == 1 else 'have'} the same text as one of another split: "
            "scores on it are not of unseen text",
            "warning",
        )
    if split.sizes is None:
        return
    wanted = accumulate(size.count for size in split.sizes)
    for name, asked, end in zip(NAMES, wanted, given["ends"], strict=True):
        if asked != end:
            yield f"{name} ends at byte {end:,}, not {asked:,}, which is inside of a character", "info"
    if given["rest"]:
        yield rest_notice(given["rest"], given["unit"]), "warning"


def rest_notice(rest: int, unit: Unit) -> str:
    """What is said of a text that is longer than its splits by `rest` bytes or characters."""
    return f"{rest:,} {unit} after the splits belong to none, and are left out"
