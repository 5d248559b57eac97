"""Vocabulary coverage of a text: which characters are missing, why, and the text without them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from charpipe.errors import UsageError
from charpipe.plugin import Encoding

Form = Literal["NFC", "NFD", "NFKC", "NFKD"]
_FORMS: tuple[Form, ...] = ("NFC", "NFD", "NFKC", "NFKD")
_LISTED = 5
_MARK = "\ufeff"
_LINE_ENDS = {ord("\r"): None, ord("\n"): None}


@dataclass(frozen=True)
class Fitted:
    """`text`: the characters that the vocabulary has; `skipped`: counts of the removed characters."""

    text: str
    skipped: Counter[str] = field(default_factory=Counter)
    notices: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The number of skipped characters, and the counts of the 20 most frequent."""
        return {"characters": self.skipped.total(), "most_frequent": dict(self.skipped.most_common(20))}


def fit(text: str, encoding: Encoding, subject: str, *, strict: bool = False, typed: bool = False) -> Fitted:
    """Remove and count the characters of `text` that are not in the vocabulary.

    With `strict`, raises UsageError if there are any. The notice or error says if a byte order mark, line ends or
    Unicode normalization explain the difference, and what to do. `typed`: the text was not read from a file.
    """
    counts = Counter(text)
    lacking = {character for character in counts if not _has(encoding, character)}
    if not lacking:
        return Fitted(text)
    skipped = Counter({character: counts[character] for character in lacking})
    difference = _difference(text, lacking, lambda character: _has(encoding, character), typed)
    if strict:
        first = next(character for character in text if character in lacking)
        others = {1: "", 2: ", nor 1 other"}.get(len(lacking), f", nor {len(lacking) - 1:,} others")
        raise UsageError(
            f"{subject}: the vocabulary has no {_name(first)}{others}; "
            + (difference or "leave it out, or learn the vocabulary from a text that has it")
        )
    notice = f"{subject}: skipped {_count(skipped)} that the vocabulary lacks: {_listed(skipped)}"
    kept = text.translate({ord(character): None for character in lacking})
    return Fitted(kept, skipped, (f"{notice}; {difference}" if difference else notice,))


def _has(encoding: Encoding, character: str) -> bool:
    try:
        encoding.encode(character)
    except (UsageError, UnicodeError):
        return False
    return True


def _count(skipped: Counter[str]) -> str:
    total = skipped.total()
    return "1 character" if total == 1 else f"{total:,} characters"


def _listed(skipped: Counter[str]) -> str:
    ordered = sorted(skipped, key=lambda character: (-skipped[character], character))
    listed = [f"{_name(character)} {skipped[character]:,} times" for character in ordered[:_LISTED]]
    more = [f"and {len(ordered) - _LISTED:,} others"] if len(ordered) > _LISTED else []
    return ", ".join([*listed, *more]).replace(" 1 times", " once")


def _name(character: str) -> str:
    return f"{character!r} (U+{ord(character):04X})"


def _difference(text: str, lacking: Iterable[str], has: Callable[[str], bool], typed: bool) -> str:
    """How the text differs from the vocabulary, with remedies; empty if no known cause applies."""
    left = set(lacking)
    found, remedies = [], []
    if _MARK in left and text.startswith(_MARK):
        found.append("a byte order mark")
        remedies.append("save it without the mark")
        left.discard(_MARK)
    if "\r" in left and has("\n"):
        found.append("its line ends (CR)")
        remedies.append("write its line ends as LF" if typed else "type --set corpus.newline=lf")
        left.discard("\r")
    elif "\n" in left and has("\r"):
        found.append("its line ends (LF)")
        remedies.append("write its line ends as CR, as in the training text")
        left.discard("\n")
    form = _form(text.replace(_MARK, "").translate(_LINE_ENDS), left, has)
    if form:
        found.append("Unicode normalisation")
        remedies.append(f"convert it to {form} (unicodedata.normalize({form!r}, text) in Python)")
        left.clear()
    if not found:
        return ""
    alone = "" if left else " alone"
    return f"it differs from the vocabulary by {' and '.join(found)}{alone}: {', and '.join(remedies)}"


def _form(text: str, lacking: set[str], has: Callable[[str], bool]) -> str:
    """The Unicode normal form in which the vocabulary covers the whole text; empty if there is none."""
    if not lacking:
        return ""
    known: dict[str, bool] = {}
    for form in _FORMS:
        characters = set(unicodedata.normalize(form, text))
        for character in characters - known.keys():
            known[character] = has(character)
        if all(known[character] for character in characters):
            return form
    return ""
