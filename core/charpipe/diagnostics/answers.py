"""Asks a server over HTTP, with a short limit: whether it answers, what it says, and what time it has."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from charpipe.errors import CharpipeError
from charpipe.plugins.contracts import Finding
from charpipe.store.secrets import redact, without_secret

MAX_SKEW = 5.0
"""Seconds. A server's `Date` is whole seconds, and its answer takes a while."""


@dataclass(frozen=True)
class Answer:
    """An answer's status and text; `ahead`: by how many seconds the server's clock is ahead of ours, if it says."""

    status: int
    text: str
    ahead: float | None


def ask(url: str, seconds: float, headers: Mapping[str, str] | None = None) -> Answer:
    """The answer to a GET. Raises CharpipeError in a few words: refused, not found, no answer in time."""
    import requests

    check_port(url, seconds)
    began = datetime.now(UTC)
    try:
        found = requests.get(url, timeout=seconds, headers=dict(headers or {}))
    except requests.Timeout as error:
        raise CharpipeError(f"no answer within {seconds:g} s") from error
    except (requests.RequestException, ValueError) as error:
        raise CharpipeError(redact(_reason(error))) from error
    middle = began + (datetime.now(UTC) - began) / 2
    return Answer(found.status_code, found.text[:10_000], _ahead(found.headers.get("Date"), middle))


def check_port(url: str, seconds: float) -> None:
    """Raise CharpipeError if nothing listens at the URL's host and port."""
    parts = urlsplit(url)
    try:
        port = parts.port or {"https": 443, "postgresql": 5432, "mysql": 3306}.get(
            parts.scheme.split("+")[0], 80
        )
        with socket.create_connection((parts.hostname or "127.0.0.1", port), timeout=seconds):
            return
    except socket.gaierror as error:
        raise CharpipeError(f"there is no host {parts.hostname}") from error
    except TimeoutError as error:
        raise CharpipeError(f"port {port} does not answer within {seconds:g} s") from error
    except OSError as error:
        raise CharpipeError(f"port {port}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:
        raise CharpipeError("its address is not valid") from error


def clock(check: str, subject: str, ahead: float | None) -> list[Finding]:
    """A warning where a server's clock differs from ours."""
    if ahead is None or abs(ahead) <= MAX_SKEW:
        return []
    way = "ahead of" if ahead > 0 else "behind"
    return [
        Finding(
            check,
            "warning",
            f"the clock of {subject} is {abs(ahead):.0f} s {way} this machine's",
            "set both by NTP: leases and schedules go by the time",
        )
    ]


def shown(url: str) -> str:
    """A URL without its secrets."""
    return redact(without_secret(url))


def _ahead(date: str | None, here: datetime) -> float | None:
    try:
        return (parsedate_to_datetime(date or "") - here).total_seconds()
    except (TypeError, ValueError):
        return None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
