"""Packages of Debian and Ubuntu, by apt's signed index, without root and without installing anything.

apt keeps its lists and downloads in folders of ours (`Dir::State`, `Dir::Cache`); the system's stay as they are.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from charpipe.plugin import CorpusError, Fetched, Fetcher
from charpipe_sources.files import by_version

_TIMEOUT = 900
"""Seconds that one apt command may take."""
_DOWNLOADED = re.compile(r"(?P<package>[a-z0-9][a-z0-9+.-]+)_(?P<version>[^_/]+)_[a-z0-9]+\.deb")


def fetch(spec: str, fetcher: Fetcher) -> Fetched | None:
    """The package that matches `apt:PATTERN`: the one downloaded before, else (or to refresh) the distribution's.

    None where this system has no apt. Raises CorpusError where apt knows no such package or fails.
    """
    kept = _kept(spec, fetcher.cache)
    if kept is None or fetcher.refresh:
        if not (shutil.which("apt-get") and shutil.which("apt-cache")):
            if kept is not None:
                raise CorpusError("this system has no apt to ask for a newer package")
            return None
        kept = _download(spec, fetcher, kept)
    match = _DOWNLOADED.fullmatch(kept.name)
    version = match["version"].replace("%3a", ":") if match else ""
    package = match["package"] if match else kept.stem
    details = {"package": package, "version": version}
    return Fetched(f"package {package} {version}".strip(), path=kept, details=details)


def there(spec: str, cache: Path) -> bool:
    """Whether a package that matches has been downloaded before."""
    return _kept(spec, cache) is not None


def _kept(spec: str, cache: Path) -> Path | None:
    pattern = _pattern(spec)
    found = [
        path
        for path in cache.glob("*.deb")
        if (match := _DOWNLOADED.fullmatch(path.name)) and fnmatch.fnmatchcase(match["package"], pattern)
    ]
    return max(found, key=lambda path: path.stat().st_mtime_ns) if found else None


def _download(spec: str, fetcher: Fetcher, kept: Path | None = None) -> Path:
    options = _private(fetcher.cache)
    # apt by itself is content with the lists it has where it cannot reach anyone; to refresh is to be sure
    strict = ["-o", "APT::Update::Error-Mode=any"] if kept is not None else []
    _run(["apt-get", *options, *strict, "-qq", "update"], fetcher.cache)
    package = choose(_pattern(spec), *_known(_pattern(spec), options, fetcher.cache))
    if package is None:
        raise CorpusError(
            f"apt knows no package {_pattern(spec)}; is its section among the system's sources?"
        )
    if kept is not None and _is_newest(kept, package, options):
        return kept
    with tempfile.TemporaryDirectory(dir=fetcher.cache, prefix="download-") as folder:
        _run(["apt-get", *options, "-qq", "download", package], Path(folder))
        found = list(Path(folder).glob("*.deb"))
        if len(found) != 1:
            raise CorpusError(f"apt-get download {package} brought no package")
        size = found[0].stat().st_size
        fetcher.progress(size, size)
        os.utime(found[0])  # the one fetched last is the one used
        return found[0].rename(fetcher.cache / found[0].name)


def _is_newest(kept: Path, package: str, options: list[str]) -> bool:
    """Whether the file kept is the version that apt would download now."""
    match = _DOWNLOADED.fullmatch(kept.name)
    if match is None or match["package"] != package:
        return False
    shown = _run(["apt-cache", *options, "policy", package], kept.parent)
    candidate = re.search(r"Candidate: (\S+)", shown)
    return candidate is not None and candidate[1] == match["version"].replace("%3a", ":")


def choose(pattern: str, packages: list[str], default: str | None = None) -> str | None:
    """The package to take: the one that the distribution's own metapackage names, else the newest."""
    matching = [name for name in packages if fnmatch.fnmatchcase(name, pattern)]
    if default in matching:
        return default
    # linux-source-6.1, and not linux-source-6.1-dbg or the like, where there is a choice
    numbered = [name for name in matching if re.fullmatch(r".*-\d+(\.\d+)*", name)]
    return max(numbered or matching, key=by_version, default=None)


def _known(pattern: str, options: list[str], cache: Path) -> tuple[list[str], str | None]:
    """The names that begin like the pattern, and what the metapackage of that name depends on."""
    stem = re.split(r"[*?\[]", pattern)[0]
    names = _run(["apt-cache", *options, "pkgnames", stem.rstrip("-")], cache).split()
    metapackage = stem.rstrip("-")
    if metapackage not in names or metapackage == pattern:
        return names, None
    depends = re.search(r"Depends: (\S+)", _run(["apt-cache", *options, "depends", metapackage], cache))
    return names, depends[1] if depends else None


def _private(cache: Path) -> list[str]:
    """Options that point apt at lists and downloads of our own, and the folders they name."""
    state, downloads = cache / "state", cache / "cache"
    for folder in (state / "lists" / "partial", downloads / "archives" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "Dir::State": state,
        "Dir::State::Lists": state / "lists",
        "Dir::Cache": downloads,
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Acquire::http::Timeout": "20",
        "Acquire::https::Timeout": "20",
        # as root apt would give its work to another user, who cannot write here
        "APT::Sandbox::User": "",
    }
    return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CorpusError(f"{command[0]} did not finish ({error})") from error
    if done.returncode:
        lines = [
            line for line in done.stderr.splitlines() if line.startswith("E: ")
        ] or done.stderr.splitlines()
        raise CorpusError(f"{command[0]} failed ({'; '.join(lines[-2:]) or done.returncode})")
    return done.stdout


def _pattern(spec: str) -> str:
    pattern = spec.removeprefix("apt:")
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.*?\[\]-]*", pattern):
        raise CorpusError(
            f"{spec!r} names no package; write apt: and a package's name, such as apt:linux-source-*"
        )
    return pattern
