"""This process's command line, as it may be shown to others."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from charpipe.store.secrets import redact, without_secret

LONGEST = 200


def command_line() -> str:
    """The command line, shortened, in one line of text and without secrets."""
    words = [Path(word).name if number == 0 else word for number, word in enumerate(sys.argv)]
    text = redact(" ".join(map(without_secret, words)))
    return re.sub(r"[\x00-\x1f\x7f]", " ", text.encode("utf-8", "replace").decode())[:LONGEST]
