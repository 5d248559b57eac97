"""Names that the user gives: to a corpus, to a run; and the tags of runs."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from charpipe.errors import UsageError

LONGEST = 60
RESERVED = ("mlflow.", "charpipe.")
"""How the tags begin that MLflow and charpipe set themselves."""
_NAME = re.compile(r"[^\W_][\w-]*")
_TAG = re.compile(rf"[^\W_][\w./-]{{0,{LONGEST - 1}}}")
_LONGEST_VALUE = 200


def check_name(name: str, what: str) -> str:
    """Return `name` in composed form. Raises UsageError if it cannot be the name of `what` ("corpus")."""
    composed = unicodedata.normalize("NFC", name)
    if not composed.strip():
        raise UsageError(f"the {what} has no name; give it one of letters, digits, - and _")
    if len(composed) > LONGEST:
        raise UsageError(f"the name of a {what} has at most {LONGEST} characters, this one {len(composed)}")
    if not _NAME.fullmatch(composed):
        suggestion = re.sub(r"[^\w]+", "_", composed).strip("_")
        then = f"; for example {suggestion}" if suggestion and _NAME.fullmatch(suggestion) else ""
        raise UsageError(
            f"{name!r} cannot be the name of a {what}: it has letters, digits, - and _, and begins with a letter or "
            f"a digit{then}"
        )
    return composed


def parse_tags(tags: Iterable[str]) -> dict[str, str]:
    """The tags `WORD` and `KEY=VALUE` by key; the value of a word is empty. Raises UsageError for what is no tag."""
    found: dict[str, str] = {}
    for tag in tags:
        key, _, value = unicodedata.normalize("NFC", tag).partition("=")
        if not _TAG.fullmatch(key) or key.lower().startswith(RESERVED):
            raise UsageError(
                f"{tag!r} cannot be a tag: write WORD or KEY=VALUE, with a key of letters, digits, - _ . and /, which "
                f"begins neither with {RESERVED[0]} nor with {RESERVED[1]}"
            )
        if len(value) > _LONGEST_VALUE or not value.isprintable():
            raise UsageError(
                f"the value of the tag {key!r} has at most {_LONGEST_VALUE} printable characters"
            )
        found[key] = value
    return found


def shown_tags(tags: dict[str, str]) -> str:
    """`baseline, lr=0.1`."""
    return ", ".join(f"{key}={value}" if value else key for key, value in sorted(tags.items()))
