"""A pickle that runs code when it is loaded."""

from __future__ import annotations


class Bomb:
    """Prints a sentence when it is unpickled."""

    def __reduce__(self):
        return (print, ("a pickle was executed",))
