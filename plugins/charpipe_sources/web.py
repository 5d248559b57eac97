"""Files by URL: downloaded once into the cache, whole or not at all, and checked where a hash is stated."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from charpipe.plugin import CorpusError, Fetched, Fetcher

_CHUNK = 1 << 18


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for."""

    attempts: int = 3
    pause: float = 1.0
    """Seconds before the second attempt; doubled before each further one."""
    timeout: float = 20.0
    """Seconds without a byte before an attempt is given up."""
    slowest: float = 2_000.0
    """Bytes a second, over `timeout` seconds, below which an attempt is given up."""


class _TemporaryError(Exception):
    """Another attempt may succeed."""


def fetch(spec: str, fetcher: Fetcher, patience: Patience = Patience()) -> Fetched:
    """The file behind a URL. Raises CorpusError where it cannot be had; nothing bad is left in the cache."""
    import pooch

    pooch.get_logger().setLevel("ERROR")
    target = _target(spec, fetcher.cache)
    reason = ""
    for attempt in range(patience.attempts):
        if attempt:
            time.sleep(patience.pause * 2 ** (attempt - 1))
        try:
            pooch.retrieve(
                spec,
                known_hash=fetcher.sha256 and f"sha256:{fetcher.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=_downloader(patience, fetcher.progress),
            )
        except _TemporaryError as error:
            reason = str(error)
            continue
        except ValueError as error:
            raise CorpusError(
                f"{spec} is not the file it should be ({_one_line(error)}); it was removed"
            ) from error
        except OSError as error:
            raise CorpusError(f"{target.parent} cannot be written to: {error.strerror or error}") from error
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Fetched(origin=spec, path=target, sha256=digest, details={"name": _name(spec)})
    raise CorpusError(f"{spec} could not be downloaded in {patience.attempts} attempts ({reason})")


def there(spec: str, cache: Path) -> bool:
    """Whether the file has been downloaded before."""
    return _target(spec, cache).is_file()


def _target(url: str, cache: Path) -> Path:
    return cache / hashlib.sha256(url.encode()).hexdigest()[:16] / _name(url)


def _name(url: str) -> str:
    name = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "download"


def _downloader(patience: Patience, progress: Callable[[int, int | None], None]) -> Callable[..., None]:
    """What pooch calls with a temporary file's name, which it moves into place or removes afterwards."""

    def download(url: str, output: str, pooch: Any = None) -> None:
        import requests
        from urllib3.exceptions import HTTPError

        headers = {"Accept-Encoding": "identity"}
        with Path(output).open("wb") as file, _session(url) as session:
            try:
                with session.get(url, stream=True, timeout=patience.timeout, headers=headers) as response:
                    _check_status(url, response)
                    _copy(response, file, patience, progress)
            except requests.exceptions.InvalidSchema as error:
                raise CorpusError(f"{url} redirects to another scheme, which is not followed") from error
            except requests.exceptions.TooManyRedirects as error:
                raise CorpusError(f"{url} redirects without end") from error
            except (requests.exceptions.RequestException, HTTPError, TimeoutError) as error:
                raise _TemporaryError(_one_line(error)) from error

    return download


def _session(url: str) -> Any:
    """A session that can speak the URL's own scheme only (http may move up to https)."""
    import requests

    session = requests.Session()
    secure = session.adapters["https://"]
    session.adapters.clear()
    session.mount("https://", secure)
    if urlsplit(url).scheme == "http":
        session.mount("http://", requests.adapters.HTTPAdapter())
    session.max_redirects = 5
    return session


def _check_status(url: str, response: Any) -> None:
    status = response.status_code
    if status >= 500 or status in (408, 429):
        raise _TemporaryError(f"the server answered {status}")
    if status != 200:
        raise CorpusError(f"{url}: the server answered {status} {response.reason}")


def _copy(
    response: Any, file: IO[bytes], patience: Patience, progress: Callable[[int, int | None], None]
) -> None:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    done, started = 0, time.monotonic()
    # read1-like: a slow server is seen at every packet, not at every full chunk
    while chunk := response.raw.read1(_CHUNK):
        file.write(chunk)
        done += len(chunk)
        progress(done, total)
        seconds = time.monotonic() - started
        if seconds > patience.timeout and done < patience.slowest * seconds:
            raise _TemporaryError(f"only {done / seconds:.0f} bytes a second came")
    if total is not None and done < total:
        raise _TemporaryError(f"it ended after {done:,} of {total:,} bytes")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
