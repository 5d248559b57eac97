"""Names that the user gives: to a corpus, to a plugin, to a run."""

from __future__ import annotations

import re
import unicodedata

from charpipe.errors import UsageError

LONGEST = 60
_NAME = re.compile(r"[^\W_][\w-]*")


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
