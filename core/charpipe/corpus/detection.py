"""Detect the encoding of bytes that are not valid UTF-8 from a bounded sample. A pure function of the sample."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from importlib.metadata import version
from itertools import pairwise

RULES = 1
"""Version of the detection rules: increment it when they give a different encoding for the same bytes."""
DETECTOR = f"{RULES}, charset-normalizer {version('charset-normalizer')}"
"""What the detected encoding depends on, in addition to the bytes and the settings."""

SAMPLE = 1 << 16
"""Bytes sampled from the start, and as many around the first byte that is not UTF-8."""
_MULTIBYTE = ("cp932", "euc_jp", "gb18030", "big5", "euc_kr", "cp949")
CANDIDATES = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("iso8859_2", "iso8859_5", "iso8859_7", "iso8859_9", "iso8859_13", "iso8859_15"),
    *("koi8_r", "koi8_u", "cp866", "mac_roman", "mac_cyrillic"),
    *_MULTIBYTE,
)
_CHAOS = 0.35
"""The maximum chaos score (charset-normalizer's mess ratio) of text."""
_FEW = 16
"""Up to this many non-ASCII bytes are too few for language detection."""
_NEWLINES = "\t\n\v\f\r"
_COMMON = frozenset(" \n\u3000\u3001\u3002\uff0c")
"""Characters common in UTF-16 text whose bytes do not occur in text of 8-bit encodings."""
_JIS = (b"\x1b$B", b"\x1b$@")
_C1 = re.compile("[\x80-\x9f]")


def wide_encoding(sample: bytes) -> str:
    """The UTF-16 or UTF-32 encoding of a sample without a byte order mark; empty if it is neither."""
    for name in ("utf-32-le", "utf-32-be"):
        if len(sample) >= 8 and _wide_text(sample, name, 4) is not None:
            return name
    found = [(name, _wide_text(sample, name, 2)) for name in ("utf-16-le", "utf-16-be")]
    ranked = sorted(((_common(text), name, text) for name, text in found if text), reverse=True)
    if not ranked or len(sample) < 8:
        return ""
    common, name, text = ranked[0]
    if common < 0.02 * len(text) or (len(ranked) > 1 and common == ranked[1][0]):
        return ""
    return name if _coherent(text) or not _decodes(sample[: max(len(sample) - 3, 0)], "utf-8") else ""


def is_iso_2022_jp(sample: bytes) -> bool:
    """Whether the sample has ISO-2022-JP escape sequences; its bytes are all below 0x80, as in ASCII."""
    return any(mark in sample for mark in _JIS) and _decodes(trimmed(sample), "iso2022_jp")


def legacy_encoding(sample: bytes) -> str:
    """The legacy encoding of text that is not UTF-8; empty if none fits."""
    sample = trimmed(sample)
    high = [at for at, byte in enumerate(sample) if byte >= 0x80]
    alone = len(high) - sum(after - before == 1 for before, after in pairwise(high))
    western = "latin-1" if all(sample[at] >= 0xA0 for at in high) else ""
    if not western and _decodes(sample, "cp1252"):
        western = "windows-1252"
    # non-ASCII characters are isolated in Western text (accents, quotes), and adjacent in other scripts
    if western and (len(high) <= _FEW or 50 * len(high) < len(sample)) and 2 * alone > len(high):
        return western
    return _detected(sample, western) or (western if western == "latin-1" else "")


def _detected(sample: bytes, western: str) -> str:
    from charset_normalizer import from_bytes

    found = from_bytes(sample, cp_isolation=list(CANDIDATES), enable_fallback=False, threshold=_CHAOS)
    matches = [match for match in found if not _C1.search(str(match))]
    if not matches:
        return ""
    best = matches[0]
    for match in matches:
        names = (match.encoding, *match.could_be_from_charset)
        as_good = match.chaos <= best.chaos and match.coherence >= best.coherence
        if western and "cp1252" in names and as_good:
            return western
    if best.encoding in ("cp1251", "koi8_r", "koi8_u", "mac_cyrillic") and _is_hebrew(sample):
        return "windows-1255"
    if best.encoding == "cp1250" and any(
        match.encoding == "iso8859_2" and match.chaos <= best.chaos for match in matches
    ):
        # the Slavic letters of Windows-1250 include bytes below 0xA0, those of ISO 8859-2 do not
        return "iso8859_2" if all(byte < 0x80 or byte >= 0xA0 for byte in sample) else "windows-1250"
    if western == "latin-1" and not best.coherence and best.encoding not in _MULTIBYTE:
        return western  # no language was recognised
    return best.encoding.replace("cp125", "windows-125")


def _is_hebrew(sample: bytes) -> bool:
    """Whether all letters are Hebrew in Windows-1255; Russian also has capitals or one of the last five letters."""
    letters = [byte for byte in sample if byte >= 0xC0]
    return len(letters) >= _FEW and all(0xE0 <= byte <= 0xFA for byte in letters)


def nearly_utf8(sample: bytes) -> bool:
    """Whether there are at least twice as many well-formed multi-byte characters as malformed sequences."""
    text = sample.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    return sum(character > "\x7f" for character in text) - bad >= 2 * max(bad, 1)


def trimmed(sample: bytes) -> bytes:
    """A full sample cut at its last line end, so that no character is split; a shorter sample unchanged."""
    if len(sample) < SAMPLE:
        return sample
    end = sample.rfind(b"\n") + 1
    return sample[:end] if end > len(sample) // 2 else sample[: len(sample) // 2 * 2]


def _wide_text(data: bytes, encoding: str, width: int) -> str | None:
    """The decoded text if all characters are assigned and printable, else None; a truncated last one is dropped."""
    data = data[: len(data) // width * width]
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if len(data) - error.start > 2:
            return None
        text = data[: error.start].decode(encoding)
    bad = ("Cc", "Cn", "Co", "Cs")
    if any(character not in _NEWLINES and unicodedata.category(character) in bad for character in set(text)):
        return None
    return text


def _common(text: str) -> int:
    return sum(character in _COMMON for character in text)


def _coherent(text: str) -> bool:
    """Whether at least 80% of the characters are in three 256-character blocks, as in text of one script."""
    blocks = Counter(ord(character) >> 8 for character in text)
    return sum(count for _, count in blocks.most_common(3)) >= 0.8 * len(text)


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
