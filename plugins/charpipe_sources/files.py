"""Files, archives and folders of this machine, by path or by glob."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from urllib.parse import unquote

from charpipe.plugin import CorpusError, Fetched, Fetcher, existing, printable

_COMPRESSED = ("gz", "bz2", "xz", "zst", "zstd", "lzma")
_ARCHIVES = (
    ".zip",
    ".deb",
    ".tar",
    ".tgz",
    ".tbz2",
    ".tbz",
    ".txz",
    ".tzst",
    *(f".tar.{one}" for one in _COMPRESSED),
)
_VERSION = re.compile(r"\d+(?:[._-]?(?:\d+|rc|alpha|beta|pre))*")


def fetch(spec: str, fetcher: Fetcher) -> Fetched | None:
    """What lies at a path. Of a glob all matches are meant, sorted; only of archives whose names differ in nothing
    but a version the highest is taken, with a notice."""
    found = _find(spec)
    if not found:
        return None
    for path in found:
        _check_readable(path)
    if len(found) == 1:
        return Fetched(origin=printable(str(found[0])), path=found[0])
    if _are_versions(found):
        newest = found[-1]
        notice = (
            f"{spec}: of {len(found)} archives whose names differ in the version only, the newest is read, "
            f"{newest.name}; to read another, name it"
        )
        return Fetched(origin=printable(str(newest)), path=newest, notices=(notice,))
    root = _root(_pattern(spec))
    only = frozenset(os.path.normpath(path.relative_to(root)) for path in found)
    return Fetched(origin=f"{printable(_pattern(spec))} ({len(found)} matches)", path=root, only=only)


def there(spec: str, cache: Path) -> bool:
    """Whether the path exists, or the glob matches anything."""
    return bool(_find(spec))


def by_version(name: str) -> list[tuple[int, int, str]]:
    """A sorting key that puts 6.10 after 6.9."""
    return [
        (1, int(piece), "") if piece.isdigit() else (0, 0, piece)
        for piece in re.split(r"(\d+)", name)
        if piece
    ]


def _find(spec: str) -> list[Path]:
    """The path that is meant, or everything that the glob matches, by version."""
    plain = _path(spec)
    if (there := existing(plain)) is not None:
        return [there]
    if os.path.lexists(plain):
        return [Path(plain)]
    pattern = _pattern(spec)
    if os.path.lexists(pattern):
        return [Path(pattern)]
    if not glob.has_magic(pattern):
        return []
    folder, rest = _split(pattern)
    matches = {
        Path(folder, path)
        for path in glob.iglob(rest, root_dir=folder or None, recursive=True)  # noqa: PTH207  has no root_dir
    }
    return sorted(matches, key=lambda path: by_version(str(path)))


def _path(spec: str) -> str:
    """The path in `file:PATH`, `file:///PATH` or a bare path; a file URL's percent signs are decoded."""
    if not spec.startswith("file:"):
        return spec
    parts = spec.removeprefix("file:")
    if not parts.startswith("//"):
        return parts
    host, slash, path = parts.removeprefix("//").partition("/")
    if host.lower() not in ("", "localhost"):
        raise CorpusError(
            f"{spec}: files of another machine ({host}) cannot be read; a file of this one has three slashes, "
            "as in file:///home/me/text.txt"
        )
    return unquote(slash + path, errors="surrogateescape")


def _pattern(spec: str) -> str:
    """The path or glob with `~` and variables expanded, but not in a folder that is there as it is written."""
    folder, rest = _split(_path(spec))
    return os.path.join(folder, os.path.expandvars(os.path.expanduser(rest)))  # noqa: PTH111, PTH118  an unknown user stays as written


def _split(pattern: str) -> tuple[str, str]:
    """The folder at the beginning that is there as it is written, whatever its name holds, and the rest: `a[1]`,
    `*.txt`."""
    parts = Path(pattern).parts
    for count in range(len(parts) - 1, 0, -1):
        found = existing(str(Path(*parts[:count])))
        if found is not None and found.is_dir():
            return str(found), str(Path(*parts[count:]))
    return "", pattern


def _root(pattern: str) -> Path:
    """The folder above the first part of the pattern that is a glob: it stays the same whatever matches."""
    folder, rest = _split(pattern)
    parts = Path(rest).parts
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(folder, *parts[:first])


def _check_readable(path: Path) -> None:
    if path.is_symlink() and not path.exists():
        raise CorpusError(f"{path} is a link to {path.readlink()}, which is not there")
    if not (path.is_file() or path.is_dir()):
        raise CorpusError(f"{path} is neither a file nor a folder")
    if not os.access(path, os.R_OK):
        raise CorpusError(f"{path} cannot be read: permission denied")


def _are_versions(paths: list[Path]) -> bool:
    """Whether these are archives of one name in several versions."""
    names = {_VERSION.sub("#", path.name.lower()) for path in paths}
    return (
        len(names) == 1
        and "#" in names.pop()
        and len({path.parent for path in paths}) == 1
        and all(path.name.lower().endswith(_ARCHIVES) and path.is_file() for path in paths)
    )
