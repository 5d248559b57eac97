"""Bits per character of general-purpose compressors, as a baseline for language models.

A language model's bits per character are the size that an arithmetic coder would reach with it (Shannon 1948). xz and
zstd, at their strongest settings, are therefore models too, and have the same figure.
"""

from __future__ import annotations

import lzma
from collections.abc import Callable, Mapping

import zstandard

from charpipe.corpus.ends import END

LARGEST_TEXT = 2_000_000
"""Maximum number of characters that are compressed, from the beginning of the text."""
LARGEST_TRAINING = 6_000_000
"""Maximum number of characters of the training text, from its end, that a compressor reads first. Both limits bound
the time to half a minute."""
ZSTD_LEVEL, WINDOW_LOG = 22, 27
"""zstd's strongest level, with a window of 128 MiB, which covers the whole input here."""
AFTER, SUFFIX = "_after_training", "_bits_per_char"


def baselines(text: str, training: str = "", *, ends: bool = False) -> dict[str, float]:
    """Bits per character that each compressor needs for `text`: `{"xz": 2.9, "zstd": 2.9, ...}`.

    Each compresses the text alone, and, if `training` is given, also after the training text: `xz_after_training` is
    the compressed size of both together less that of the training text. Long texts are cut: `text` to its beginning,
    `training` to its end. Empty for an empty text. With `ends`, the ends of documents are no characters of the text.
    """
    beginning, end = text[:LARGEST_TEXT], training[-LARGEST_TRAINING:]
    characters = len(beginning) - (beginning.count(END) if ends else 0)
    if not characters:
        return {}
    data, before = _bytes(beginning), _bytes(end)
    found: dict[str, float] = {}
    for name, size in COMPRESSORS.items():
        found[name] = 8 * size(data) / characters
        if before:
            more = size(before + data) - size(before)
            found[name + AFTER] = 8 * max(more, 0) / characters
    return found


def named(split: str, found: Mapping[str, float]) -> dict[str, float]:
    """The result of `baselines` as metrics: `{"test/xz_bits_per_char": 2.49, ...}`."""
    return {f"{split}/{name}{SUFFIX}": bits for name, bits in found.items()}


def is_baseline(metric: str) -> bool:
    """Whether a metric belongs to a compressor rather than to a model."""
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
