"""The values that say what belongs to a split: a fraction of the text, a size of it, or a pattern of files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

Unit = Literal["bytes", "characters"]
_SIZE = re.compile(r"([0-9][0-9_,]{0,24}) *(byte|character)s?", re.IGNORECASE)
_NUMBER = re.compile(r"[+-]?([0-9]|\.[0-9])[0-9_]*(\.[0-9_]*)?([eE][+-]?[0-9]{1,4})?|[+-]?(inf|nan)")


@dataclass(frozen=True)
class Size:
    """A size of text: `90000000 bytes`."""

    count: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.count} {self.unit}"


def parse_size(text: str) -> Size | None:
    """The size that a text stands for, as `90000000 bytes` or `5_000 characters`; None if it stands for none."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        return None
    unit: Unit = "bytes" if found[2].lower() == "byte" else "characters"
    return Size(int(re.sub("[_,]", "", found[1])), unit)


def parse_share(value: Any) -> float | str:
    """A fraction as a number; a size in one spelling; another text, a pattern of files, as it is.

    Raises ValueError for a fraction outside of 0 to 1, for an empty text and for other types.
    """
    if isinstance(value, str):
        text = value.strip()
        if not text:
            raise ValueError("it is empty; give a fraction, a size or a pattern of files")
        if _NUMBER.fullmatch(text) is None:
            size = parse_size(text)
            if text.startswith("-") and parse_size(text[1:]) is not None:
                raise ValueError(f"{text!r} is less than nothing; give a size such as '90000000 bytes'")
            if size is None or size.count:
                return text if size is None else str(size)
            text = "0"
        value = float(text)
    if not isinstance(value, int | float):
        raise ValueError("input should be a fraction, a size such as '90000000 bytes' or a pattern of files")
    if not value >= 0:
        raise ValueError("input should be greater than or equal to 0")
    if value > 1:
        raise ValueError("input should be less than or equal to 1; a size has a unit: '90000000 bytes'")
    return float(value)
