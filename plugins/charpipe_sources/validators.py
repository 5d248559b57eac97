"""What a server said of a file that it sent, by which it can be asked whether it has another one (RFC 9110, 8.8)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Validators:
    """What the server said of the file it sent, in `.NAME.validators.json` beside it (RFC 9110, section 8.8)."""

    path: Path
    etag: str = ""
    last_modified: str = ""
    sha256: str = ""
    fresh: bool = False
    """Whether the server sent them in this process."""

    @classmethod
    def beside(cls, target: Path) -> Validators:
        """None yet, with the place of those of the file at `target`."""
        return cls(target.with_name(f".{target.name}.validators.json"))

    @classmethod
    def of(cls, target: Path) -> Validators:
        """Those of the file at `target`; none where they belong to another content."""
        empty = cls.beside(target)
        try:
            known = json.loads(empty.path.read_text(encoding="utf-8"))
            if known["sha256"] == sha256_of(target):
                return cls(empty.path, str(known["etag"]), str(known["last_modified"]), str(known["sha256"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return empty

    def read(self, headers: Mapping[str, str]) -> None:
        """Take them from an answer."""
        self.etag, self.last_modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
        self.fresh = True

    def headers(self) -> dict[str, str]:
        """The headers that ask for the file only if it is another one."""
        asked = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in asked.items() if value}

    def keep(self, target: Path) -> str:
        """Remember them with the file that they belong to; returns its SHA-256."""
        self.sha256 = sha256_of(target)
        known = {"etag": self.etag, "last_modified": self.last_modified, "sha256": self.sha256}
        self.path.write_text(json.dumps(known), encoding="utf-8")
        return self.sha256


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
