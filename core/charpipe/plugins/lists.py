"""Options that hold lists: on the command line they are texts separated by commas."""

from __future__ import annotations

NAME_LIST = r"^\s*[^,\s]+(\s*,\s*[^,\s]+)*\s*$"
"""A pattern for names: `lstm, gru`."""
NUMBER_LIST = r"^\s*[1-9]\d{0,4}(\s*,\s*[1-9]\d{0,4})*\s*$"
"""A pattern for whole numbers from 1 to 99999: `64,128`."""


def comma_separated(text: str) -> list[str]:
    """The parts of a text separated by commas, stripped and without duplicates."""
    return list(dict.fromkeys(part.strip() for part in text.split(",")))
