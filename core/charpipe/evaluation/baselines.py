"""What general compressors need for a text: the plainest thing to hold a language model's bits per character against.

A model that foresees a text well would compress it well (Shannon 1948): its bits per character are the size that an
arithmetic coder would reach with it. So xz and zstd, at their strongest, are models too, and the same number is theirs.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable, Mapping

import zstandard

LARGEST_TEXT = 2_000_000
"""Characters of a text that are compressed at most, from its beginning."""
LARGEST_TRAINING = 6_000_000
"""Characters of the training text, its last, that a compressor sees before. Both bound the time to half a minute."""
ZSTD_LEVEL, WINDOW_LOG = 22, 27
"""zstd at its strongest, with a window of 128 MiB: all that it is given here."""
AFTER, SUFFIX = "_after_training", "_bits_per_char"


def baselines(text: str, training: str = "") -> dict[str, float]:
    """Bits per character that each compressor needs for `text`: `{"xz": 2.9, "zstd": 2.9, ...}`.

    Alone, as its files are, and where there is a `training` text also after having read that, as a model has:
    `xz_after_training` is the size of both together less that of the training text. Of a long text the beginning is
    taken, of a long training text the end. Empty for an empty text.
    """
    beginning, end = text[:LARGEST_TEXT], training[-LARGEST_TRAINING:]
    if not beginning:
        return {}
    data, before = _bytes(beginning), _bytes(end)
    found: dict[str, float] = {}
    for name, size in COMPRESSORS.items():
        found[name] = 8 * size(data) / len(beginning)
        if before:
            more = size(before + data) - size(before)
            found[name + AFTER] = 8 * max(more, 0) / len(beginning)
    return found


def named(split: str, found: Mapping[str, float]) -> dict[str, float]:
    """The same as metrics: `{"test/xz_bits_per_char": 2.49, ...}`."""
    return {f"{split}/{name}{SUFFIX}": bits for name, bits in found.items()}


def is_baseline(metric: str) -> bool:
    """Whether a metric is one of a compressor's, and not of a model's."""
    name = metric.partition("/")[2].removesuffix(SUFFIX).removesuffix(AFTER)
    return metric.endswith(SUFFIX) and name in COMPRESSORS


def _xz(data: bytes) -> int:
    return len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


def _zstd(data: bytes) -> int:
    settings = zstandard.ZstdCompressionParameters.from_level(
        ZSTD_LEVEL, source_size=len(data), window_log=WINDOW_LOG, enable_ldm=True
    )
    return len(zstandard.ZstdCompressor(compression_params=settings).compress(data))


COMPRESSORS: dict[str, Callable[[bytes], int]] = {"xz": _xz, "zstd": _zstd}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
