"""An encoding for tests: a token for each of some characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from charpipe.errors import UsageError


class Letters:
    """The tokens are these characters, in this order."""

    def __init__(self, labels: Iterable[str] = "\nabcdef") -> None:
        self.labels = list(labels)
        self.size = len(self.labels)

    def encode(self, text: str) -> np.ndarray[Any, Any]:
        for letter in text:
            if letter not in self.labels:
                raise UsageError(f"{letter!r} is not in the vocabulary")
        return np.array([self.labels.index(letter) for letter in text], dtype=np.uint8)

    def decoder(self) -> Letters:
        return self

    def decode(self, ids: Iterable[int], final: bool = False) -> str:
        return "".join(self.labels[number] for number in ids)
