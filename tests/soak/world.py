"""A folder of small documents that changes between runs: added, changed, removed, some no text at all."""

from __future__ import annotations

import random
from pathlib import Path

TEXT = (
    "the night ship sails over a calm sea and nobody on deck knows where morning finds it under grey rain while "
    "below the engine hums its one long note for men who sleep and dream of harbours with yellow lamps"
)
WORDS = TEXT.split()
START = 120
"""Documents to begin with: from a hundred on, splits are by document."""
MIN_DOCUMENTS, MAX_DOCUMENTS = 105, 160
RARE = "éüßñøλж€"


class World:
    """One corpus's folder. `change` does what a day might do to it and says what it was."""

    def __init__(self, folder: Path, random_: random.Random) -> None:
        self.folder, self.random = folder, random_
        folder.mkdir(parents=True, exist_ok=True)
        self.number = 0
        for _ in range(START):
            self._add()

    def change(self) -> list[str]:
        """Change some documents, or nothing at all."""
        done = []
        for _ in range(self.random.choice([0, 0, 1, 1, 2, 4])):
            kind = self.random.choices(["add", "change", "remove", "break", "mend"], [4, 4, 2, 1, 1])[0]
            done.append(f"{kind} {getattr(self, f'_{kind}')()}")
        return done

    def _documents(self) -> list[Path]:
        return sorted(self.folder.glob("*.txt"))

    def _add(self) -> str:
        if len(self._documents()) >= MAX_DOCUMENTS:
            return self._remove()
        self.number += 1
        path = self.folder / f"page-{self.number:04d}.txt"
        path.write_text(self._text(), "utf-8")
        return path.name

    def _change(self) -> str:
        path = self.random.choice(self._documents())
        path.write_text(self._text(), "utf-8")
        return path.name

    def _remove(self) -> str:
        found = self._documents()
        if len(found) <= MIN_DOCUMENTS:
            return self._add()
        path = self.random.choice(found)
        path.unlink()
        return path.name

    def _break(self) -> str:
        path = self.random.choice(self._documents())
        path.write_bytes(
            self.random.choice([b"\x00\x01\x02" * 50, b"", b"\xff\xfe\x00", b"caf\xe9 \xe0 la carte"])
        )
        return path.name

    def _mend(self) -> str:
        for path in self._documents():
            if b"\x00" in path.read_bytes() or not path.stat().st_size:
                path.write_text(self._text(), "utf-8")
                return path.name
        return self._change()

    def _text(self) -> str:
        words = self.random.choices(WORDS, k=self.random.randint(30, 90))
        if self.random.random() < 0.05:
            words.insert(3, self.random.choice(RARE))
        return " ".join(words) + ".\n"
