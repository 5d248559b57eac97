"""The encoding of bytes that are not valid UTF-8, found in a bounded sample. A pure function of the sample."""

from __future__ import annotations

import unicodedata
from importlib.metadata import version
from itertools import pairwise

RULES = 1
"""Raised by hand when the rules of this module find another encoding in the same bytes."""
DETECTOR = f"{RULES}, charset-normalizer {version('charset-normalizer')}"
"""What an encoding depends on beside the bytes and the settings."""

SAMPLE = 1 << 16
"""Bytes from the start, and again from the neighbourhood of the first byte that is not UTF-8."""
CANDIDATES = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("koi8_r", "mac_roman", "iso8859_2", "iso8859_5", "iso8859_7"),
    *("shift_jis", "cp932", "euc_jp", "gb18030", "big5", "euc_kr"),
)
_FEW = 0.1
_MANY = 0.45
_NEWLINES = "\t\n\v\f\r"


def wide_encoding(sample: bytes) -> str:
    """UTF-16 or UTF-32 without a byte order mark, or empty."""
    for name in ("utf-32-le", "utf-32-be"):
        if len(sample) >= 8 and _reads_as_text(sample[: len(sample) // 4 * 4], name):
            return name
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    for name, right, wrong in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        likely = right > 3 * wrong and (right >= 0.2 * len(sample) or not _is_utf8(sample))
        if len(sample) >= 8 and likely and _reads_as_text(sample[: len(sample) // 2 * 2], name):
            return name
    return ""


def legacy_encoding(sample: bytes) -> str:
    """The legacy encoding of text that is not UTF-8, or empty where none fits."""
    high = [at for at, byte in enumerate(sample) if byte >= 0x80]
    pairs = sum(after - before == 1 for before, after in pairwise(high))
    western = "latin-1" if all(sample[at] >= 0xA0 for at in high) else ""
    if not western and _decodes(sample, "cp1252"):
        western = "windows-1252"
    # the accents and quotes of Western text stand alone; the letters of other scripts stand together
    if western and (len(high) < _FEW * len(sample) or 2 * pairs < len(high) < _MANY * len(sample)):
        return western
    from charset_normalizer import from_bytes

    found = from_bytes(sample, cp_isolation=list(CANDIDATES), enable_fallback=False).best()
    if found is None:
        return western if western == "latin-1" else ""
    return found.encoding.replace("cp125", "windows-125")


def nearly_utf8(sample: bytes) -> bool:
    """Whether well-formed multi-byte characters are at least twice as many as what is malformed."""
    text = sample.decode("utf-8", "replace")
    bad = text.count("�")
    return sum(character > "\x7f" for character in text) - bad >= 2 * max(bad, 1)


def _reads_as_text(data: bytes, encoding: str) -> bool:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if error.end < len(data):
            return False
        text = data[: error.start].decode(encoding)
    return bool(text) and all(
        character in _NEWLINES or unicodedata.category(character) not in ("Cc", "Cn", "Co", "Cs")
        for character in set(text)
    )


def _is_utf8(data: bytes) -> bool:
    return _decodes(data[: max(len(data) - 3, 0)], "utf-8")


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
