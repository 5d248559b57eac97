"""Fetch a corpus from the first available of its sources, and verify its SHA-256 if one is configured."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.members import Progress
from charpipe.errors import CorpusError, RefreshError, near_match
from charpipe.plugin import Fetched, Source, resolve
from charpipe.store.digest import digest_of_file

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_DOWNLOADS = {"http", "https"}


@dataclass(frozen=True)
class _Fetcher:
    cache: Path
    sha256: str | None
    told: Progress = field(repr=False)
    refresh: bool = False

    def progress(self, done: int, total: int | None) -> None:
        self.told(done, total)


def source_for(spec: str, sources: Mapping[str, Source]) -> Source:
    """The source that handles `spec`: by its scheme, case-insensitively, or `file` if it has no known scheme.

    Raises CorpusError if no source handles the scheme of a URL.
    """
    match = _SCHEME.fullmatch(spec)
    scheme = match[1].lower() if match else ""
    if match and scheme in sources and (match[1] in sources or not Path(spec).exists()):
        return sources[scheme]
    if match and match[2].startswith("//"):
        fetched = " and ".join(sorted(_DOWNLOADS & set(sources))) or "no"
        raise CorpusError(
            f"{fetched} URLs can be fetched, {spec!r} cannot{near_match(scheme, sources)}; "
            "download it by other means, and give the path of the file"
        )
    if match and not Path(spec).exists():
        raise CorpusError(
            f"no source understands {spec!r}{near_match(scheme, sources)}; "
            "write ./ before the name of a file that holds a colon"
        )
    if "file" not in sources:
        raise CorpusError("no plugin provides the source 'file'; see `charpipe plugins list`")
    return sources["file"]


def canonical(spec: str, source: Source) -> str:
    """`spec` with its scheme in the source's spelling, so that `HTTP://` and `http://` share one download."""
    match = _SCHEME.fullmatch(spec)
    if match and match[1] != source.scheme and match[1].lower() == source.scheme:
        return f"{source.scheme}:{match[2]}"
    return spec


def fetch(
    config: CorpusConfig,
    name: str,
    cache: Path,
    sources: Mapping[str, Source],
    progress: Progress = lambda done, total: None,
    *,
    refresh: bool = False,
) -> Fetched:
    """Fetch the first available of the corpus's sources, downloading it into `cache` if necessary.

    With `refresh`, a source that was downloaded before is checked for a newer version. If it cannot be reached, this
    raises RefreshError and does not try the next source, which may hold another text.
    Raises CorpusError that lists the sources tried. A file with another SHA-256 than the configured one is not used.
    """
    tried: list[str] = []
    for spec in config.sources:
        try:
            source = source_for(spec, sources)
            folder = cache / source.scheme
            folder.mkdir(parents=True, exist_ok=True)
            fetcher = _Fetcher(folder, config.sha256, progress, refresh)
            fetched = resolve(source.fetch)(canonical(spec, source), fetcher)
            if fetched is not None:
                return _verified(fetched, config.sha256)
            tried.append(f"{spec}: not there")
        except CorpusError as error:
            if refresh and _is_here(spec, cache, sources):
                raise RefreshError(
                    f"cannot check whether {name!r} has changed: {error}; the previous download is kept"
                ) from error
            tried.append(f"{spec}: {error}")
    listed = "\n  ".join(tried)
    raise CorpusError(
        f"corpus {name!r} is not available; tried\n  {listed}\n"
        "Name a file, folder, archive or URL of your own instead"
    )


def fetched_here(config: CorpusConfig, cache: Path, sources: Mapping[str, Source]) -> list[tuple[str, bool]]:
    """Each source of the corpus, and whether it is available on this machine; nothing is fetched."""
    return [(spec, _is_here(spec, cache, sources)) for spec in config.sources]


def _is_here(spec: str, cache: Path, sources: Mapping[str, Source]) -> bool:
    try:
        source = source_for(spec, sources)
        return bool(resolve(source.there)(canonical(spec, source), cache / source.scheme))
    except CorpusError:
        return False


def discard(fetched: Fetched, config: CorpusConfig, cache: Path) -> bool:
    """Remove a download that holds no text, so that it is downloaded again; returns whether it was removed.

    It is kept if a SHA-256 is configured, because then it is the right file, or if `include` or `exclude` is set,
    because then it may be; so may one with splits given by files.
    """
    if config.sha256 or config.include or config.exclude or config.split.patterns or fetched.path is None:
        return False
    if not fetched.path.is_file() or not fetched.path.is_relative_to(cache):
        return False
    fetched.path.unlink(missing_ok=True)
    return True


def _verified(fetched: Fetched, sha256: str | None) -> Fetched:
    if sha256 is None:
        return fetched
    if fetched.path is None or not fetched.path.is_file():
        raise CorpusError(f"{fetched.origin} is no single file, so it cannot have the stated SHA-256")
    found = fetched.sha256 or digest_of_file(fetched.path)
    if found != sha256:
        raise CorpusError(
            f"{fetched.path.name} has SHA-256 {found}, not the stated {sha256}; it was not used"
        )
    return replace(fetched, sha256=found)
