"""Formats quantities for display."""

from __future__ import annotations


def size(number: float, unit: str = "") -> str:
    """`1.18 G`, `55.4 k`, followed by a unit: `1.18 GB`."""
    for prefix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g} {prefix}{unit}"
    return f"{number:.0f} {unit}".rstrip()


def duration(seconds: float) -> str:
    """`0.4 s`, `28 s`, `3:02`, `1:04:10`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
