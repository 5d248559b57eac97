"""Resource limits for archives, because corpora are untrusted data."""

from __future__ import annotations

from dataclasses import dataclass

from charpipe.errors import CorpusError


class LimitError(CorpusError):
    """An archive or a compressed file exceeds a limit."""


@dataclass(frozen=True)
class Limits:
    """Limits on the content of an archive. Exceeding one stops ingestion, and nothing of the archive is kept."""

    members: int = 20_000_000
    member_bytes: int = 64 * 2**30
    total_bytes: int = 2**40
    ratio: int = 250
    """Maximum output bytes per input byte. Typical: source code 10:1, a log file 60:1, a zip bomb 1000:1."""
    ratio_after: int = 256 * 2**20
    """Output bytes before the ratio is checked: small archives of one repeated letter are harmless."""
    header_bytes: int = 2**20
    """Maximum bytes of a tar header's long name or attributes."""
    zip_directory_bytes: int = 4 * 2**30
    """Maximum bytes of a zip archive's central directory."""

    def check_output(self, subject: str, received: int, produced: int) -> None:
        """Raise LimitError if `received` compressed bytes unpacked to too many `produced` bytes."""
        if produced > self.total_bytes:
            raise LimitError(
                f"{subject} unpacks to more than {self.total_bytes:,} bytes, the most an archive may hold; "
                "nothing of it was kept. Unpack it yourself and name the folder"
            )
        if produced > self.ratio_after and produced > self.ratio * max(received, 1):
            raise LimitError(
                f"{subject} unpacks to more than {self.ratio} times its size, as a decompression bomb does; "
                "nothing of it was kept. Unpack it yourself and name the folder if you trust it"
            )

    def check_members(self, subject: str, members: int) -> None:
        """Raise LimitError if an archive has too many members."""
        if members > self.members:
            raise LimitError(
                f"{subject} holds more than {self.members:,} members, the most an archive may hold; "
                "nothing of it was kept. Unpack it yourself and name the folder"
            )

    def check_claim(self, subject: str, member: str, size: int) -> None:
        """Raise LimitError if a member's stated size is negative or above the limit."""
        if not 0 <= size <= self.member_bytes:
            raise LimitError(
                f"{subject} claims {size:,} bytes for its member {member!r}, more than the {self.member_bytes:,} "
                "a member may have; nothing of it was kept. The archive is damaged or malicious"
            )
