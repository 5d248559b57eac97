"""Files by URL: downloaded once into the cache, whole or not at all, and checked where a hash is stated.

An empty answer is never kept. A page of HTML or a JSON answer where something else was expected is read with a
warning (refused where an archive was expected), and asked for again the next time.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from charpipe.plugin import CorpusError, Fetched, Fetcher, redact
from charpipe_sources.answers import expects_archive, suffix_of, unexpected
from charpipe_sources.validators import Validators, sha256_of

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


class _UnchangedError(Exception):
    """The server says that what was downloaded before is what it has."""


def fetch(spec: str, fetcher: Fetcher, patience: Patience = Patience()) -> Fetched:
    """The file behind a URL: the one downloaded before, or to refresh what the server has now, unless it is the same
    or pinned by a hash. Raises CorpusError where it cannot be had; what was there before stays."""
    target = _target(spec, fetcher.cache)
    here = target.is_file() and target.stat().st_size > 0
    doubtful = here and not fetcher.sha256 and bool(unexpected(_name(spec), target))
    if here and not doubtful and (fetcher.sha256 or not fetcher.refresh):
        # a copy that is not what it should be is asked for as if it were not there
        return _downloaded(spec, fetcher, target, target, Validators.beside(target), patience)
    known = Validators.of(target) if here and not doubtful else Validators.beside(target)
    fresh = target.with_name(f".fresh-{target.name}") if here else target
    fresh.unlink(missing_ok=True)
    try:
        return _downloaded(spec, fetcher, target, fresh, known, patience)
    except CorpusError:
        if not doubtful or fetcher.refresh:
            raise
        return _fetched(spec, target, sha256_of(target))


def _downloaded(
    spec: str, fetcher: Fetcher, target: Path, fresh: Path, known: Validators, patience: Patience
) -> Fetched:
    """What is at `fresh` already, or is downloaded there and then takes the place of `target`."""
    import pooch

    pooch.get_logger().setLevel("ERROR")
    reason = ""
    for attempt in range(patience.attempts):
        if attempt:
            time.sleep(patience.pause * 2 ** (attempt - 1))
        try:
            pooch.retrieve(
                spec,
                known_hash=fetcher.sha256 and f"sha256:{fetcher.sha256}",
                fname=fresh.name,
                path=fresh.parent,
                downloader=_downloader(patience, fetcher.progress, known),
            )
        except _TemporaryError as error:
            reason = str(error)
            continue
        except _UnchangedError:
            return _fetched(spec, target, known.sha256)
        except ValueError as error:
            raise CorpusError(
                f"{spec} is not the file it should be ({_one_line(error)}); it was removed"
            ) from error
        except OSError as error:
            raise CorpusError(f"{target.parent} cannot be written to: {error.strerror or error}") from error
        _refuse_page(spec, fresh, target, fetcher)
        fresh.replace(target)
        return _fetched(spec, target, known.keep(target) if known.fresh else sha256_of(target))
    raise CorpusError(f"{spec} could not be downloaded in {patience.attempts} attempts ({reason})")


def _fetched(spec: str, target: Path, sha256: str) -> Fetched:
    came = unexpected(_name(spec), target)
    warnings = (_warning(spec, came),) if came else ()
    return Fetched(origin=spec, path=target, sha256=sha256, details={"name": _name(spec)}, warnings=warnings)


def _refuse_page(spec: str, fresh: Path, target: Path, fetcher: Fetcher) -> None:
    """Remove what was downloaded, and raise CorpusError, where a page came instead of an archive, or instead of a
    newer version of the text that is here."""
    came = "" if fetcher.sha256 else unexpected(_name(spec), fresh)
    replaces = fresh != target and not unexpected(_name(spec), target)
    if not came or not (replaces or expects_archive(_name(spec))):
        return
    fresh.unlink()
    wanted = "a newer version of the text" if replaces else f"a {suffix_of(_name(spec))} file"
    raise CorpusError(
        f"{spec}: the server sent {came}, not {wanted}; it was not kept. Open the address in a browser: "
        "the file may need a login or have moved"
    )


def _warning(spec: str, came: str) -> str:
    hint = "open the address in a browser: it may need a login, or have moved"
    parts = urlsplit(spec)
    if parts.hostname == "github.com" and "/blob/" in parts.path:
        raw = parts.path.replace("/blob/", "/raw/", 1)
        hint = f"the file itself is at https://github.com{raw}"
    elif "LFS" in came:
        hint = "the file itself has another address, which the download button of its page names"
    return (
        f"{spec}: the server sent {came} where a text was expected; it is read as it is, and asked for again "
        f"the next time. If it is not what you want, {hint}"
    )


def there(spec: str, cache: Path) -> bool:
    """Whether the file has been downloaded before."""
    return _target(spec, cache).is_file()


def _target(url: str, cache: Path) -> Path:
    return cache / hashlib.sha256(url.encode()).hexdigest()[:16] / _name(url)


def _name(url: str) -> str:
    name = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "download"


def _downloader(
    patience: Patience, progress: Callable[[int, int | None], None], known: Validators
) -> Callable[..., None]:
    """What pooch calls with a temporary file's name, which it moves into place or removes afterwards."""

    def download(url: str, output: str, pooch: Any = None) -> None:
        import requests
        from urllib3.exceptions import HTTPError

        headers = {"Accept-Encoding": "identity", **known.headers()}
        with Path(output).open("wb") as file, _session(url) as session:
            try:
                with session.get(url, stream=True, timeout=patience.timeout, headers=headers) as response:
                    if response.status_code == 304:
                        raise _UnchangedError
                    _check_status(url, response)
                    _copy(response, file, patience, progress)
                    known.read(response.headers)
            except requests.exceptions.InvalidSchema as error:
                raise CorpusError(f"{url} redirects to another scheme, which is not followed") from error
            except requests.exceptions.TooManyRedirects as error:
                raise CorpusError(f"{url} redirects without end") from error
            except (requests.exceptions.RequestException, HTTPError, TimeoutError) as error:
                raise _TemporaryError(_reason(error)) from error

    return download


def _reason(error: Exception) -> str:
    """Why there is no answer: the words of the operating system, such as "connection refused", where it has some."""
    text = _one_line(error)
    found = re.search(r"\[Errno -?\d+\] ([^'\")]+)", text)
    return found[1].lower() if found else text


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
    if status in (401, 403):
        raise CorpusError(
            f"{url}: the server answered {status} {response.reason}; if it wants a user and a password, put them "
            "into ~/.netrc (or the file that NETRC names): machine HOST login USER password PASSWORD"
        )
    if status != 200:
        raise CorpusError(f"{url}: the server answered {status} {response.reason}")


def _copy(
    response: Any, file: IO[bytes], patience: Patience, progress: Callable[[int, int | None], None]
) -> None:
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    done, started = 0, time.monotonic()
    decode = _is_encoded(response)
    # read1-like: a slow server is seen at every packet, not at every full chunk
    while chunk := response.raw.read1(_CHUNK, decode_content=decode):
        file.write(chunk)
        done = response.raw.tell()
        progress(done, total)
        seconds = time.monotonic() - started
        if seconds > patience.timeout and done < patience.slowest * seconds:
            raise _TemporaryError(f"only {done / seconds:.0f} bytes a second came")
    if total is not None and done < total:
        raise _TemporaryError(f"it ended after {done:,} of {total:,} bytes")
    if not file.tell():
        raise _TemporaryError("the server sent an empty answer, which was not kept")


def _is_encoded(response: Any) -> bool:
    """Whether the answer is compressed for its way here only: some servers do so though it was not asked for.

    A .gz file that a server declares as gzip-encoded is kept as it is, as browsers and wget do.
    """
    from urllib3.response import HTTPResponse

    named = response.headers.get("Content-Encoding", "").lower().strip()
    if named in ("", "identity"):
        return False
    if named in ("gzip", "x-gzip") and suffix_of(_name(response.url)) in (".gz", ".tgz"):
        return False
    if any(one.strip() not in HTTPResponse.CONTENT_DECODERS for one in named.split(",")):
        raise CorpusError(
            f"{response.url}: the server sent it encoded as {named!r}, which was not asked for and cannot be read; "
            "nothing was kept. Download it with a browser and name the file"
        )
    return True


def _one_line(error: BaseException) -> str:
    return redact(" ".join(str(error).split()))[:300] or type(error).__name__
