"""The identity of a corpus: the unique name under which its runs, champions, splits and MLflow records are stored.

A corpus of the catalogue is identified by its name. A path inside the project is identified by its relative path
(`./A/input.txt`), so a moved project keeps its corpora; any other path, and a URL, by its last part and a digest
(`input.txt@3f2a91c07b`). Different corpora have different identities. An identity is printable text of at most 160
bytes, without quotes, braces, wildcards or control characters: these are replaced, and a digest of the whole is added.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from charpipe.errors import UsageError
from charpipe.store.paths import existing, printable

MAX_BYTES = 120
"""Maximum bytes of an identity before its digest."""
PUNCTUATION = "./ +,()=~-_@"
DIGEST = re.compile(r"@[0-9a-f]{10}$")


def of_path(path: Path, base: Path | None) -> str:
    """The identity of a file or folder; `base` is the folder that relative identities refer to, or None."""
    place = _real(path)
    if base is not None:
        home = Path(os.path.realpath(base))
        if place == home:
            return "./"
        if place.is_relative_to(home):
            return _readable(f"./{place.relative_to(home).as_posix()}")
    return _with_digest(place.name or "root", os.fsencode(place))


def readable_name(name: str) -> str:
    """A file's name for display, with characters that are not plain text replaced; it may not be unique."""
    return _plain(printable(name))


def of_url(url: str) -> str:
    """The identity of a URL, without user and password. Raises UsageError if it is not a URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise UsageError(f"that is not a URL: {error}") from error
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    last = Path(parts.path).name or host or parts.scheme
    return _with_digest(last, bare.encode("utf-8", "surrogateescape"))


def base_of(workspace: Path, project_file: Path | None) -> Path | None:
    """The folder that relative identities refer to: the project's folder if it contains the workspace, else None.

    A workspace elsewhere may serve several projects, whose equal relative paths are different corpora.
    """
    folder = project_file.parent if project_file else Path.cwd()
    inside = Path(os.path.realpath(workspace)).is_relative_to(os.path.realpath(folder))
    return folder if inside else None


@lru_cache(maxsize=256)
def earlier_name(workspace: Path, path: Path, base: Path | None) -> str | None:
    """The plain file name under which a workspace of charpipe 0.1 stores this corpus, or None.

    In charpipe 0.1 all files of one name were one corpus. The name belongs to the file that the champion was trained
    on, or without one to the only file that was trained on under that name.
    """
    name, place = path.absolute().name, _real(path)
    slug = re.sub(r"[^\w.]+", "_", name).strip("_.")[:40] or "corpus"
    infos = [_json(file) for file in sorted((workspace / "runs").glob(f"*-{slug}-*/run.json"))]
    places = {
        str(info.get("name")): _real((base or Path.cwd()) / _asked(info))
        for info in infos
        if info.get("corpus") == name and _asked(info)
    }
    champion = _json(workspace / "champions" / file_name(name) / "champion.json").get("champion")
    if isinstance(champion, dict) and (owner := places.get(str(champion.get("run")))) is not None:
        return name if owner == place else None
    return name if set(places.values()) == {place} else None


def spoken(wanted: str, known: Iterable[str], workspace: Path, project_file: Path | None) -> str:
    """The identity in `known` that the user's `wanted` refers to.

    `wanted` is an identity, a path or URL as given to --corpus, or a unique short form (see `called`). `name:X` always
    means the corpus named X, never a path. If nothing matches, returns the identity of an existing path (so that it is
    not confused with another file of the same name), and otherwise `wanted`. Raises UsageError that lists the
    identities if several match.
    """
    there = sorted(set(known))
    if wanted.startswith("name:") and wanted[5:] in there:
        return wanted[5:]
    found = {wanted} if wanted in there else set()
    path, base = existing(wanted), base_of(workspace, project_file)
    if path is not None:
        ours = {of_path(path, base), earlier_name(workspace, path, base)}
        found |= {one for one in there if one in ours}
        if not found:
            return of_path(path, base)
    elif "://" in wanted and (url := of_url(wanted)) in there:
        found.add(url)
    if not found:
        found = set(called(wanted, there))
    if len(found) > 1:
        listed = ", ".join(f"name:{one}" if one == wanted else one for one in sorted(found))
        raise UsageError(f"{wanted!r} may mean {len(found)} corpora; type one of: {listed}")
    return found.pop() if found else wanted


def called(wanted: str, known: Iterable[str]) -> list[str]:
    """The identities in `known` that `wanted` is a short form of.

    A short form is the file's name or the end of its path, without the digest (`input.txt`, `A/input.txt`) or with a
    prefix of it (`input.txt@3f2a`).
    """
    short = wanted.removeprefix("./")
    return [one for one in sorted(set(known)) if short and _is_short_for(short, one)]


def _is_short_for(short: str, identity: str) -> bool:
    path, at, digest = identity.rpartition("@") if DIGEST.search(identity) else (identity, "", "")
    name, given, start = short.rpartition("@")
    if given and at and digest.startswith(start):
        return f"/{path}".endswith(f"/{name}")
    return f"/{path}".endswith(f"/{short}")


def file_name(text: str) -> str:
    """A file name for `text`, unique to it, of at most 120 bytes, and valid on any file system."""
    name = quote(text, safe="", errors="surrogateescape")
    name = name.replace(".", "%2E", 1) if name.startswith(".") else name
    if len(name) > 120:
        name = f"{name[:80]}-{_digest(json.dumps(text).encode())[:16]}"
    return name


def _readable(text: str) -> str:
    """`text` if it is plain; else its plain form with a digest."""
    plain = _plain(text)
    fits = len(plain.encode()) <= MAX_BYTES and plain == text and not DIGEST.search(text)
    return text if fits else _with_digest(text, os.fsencode(text))


def _with_digest(text: str, raw: bytes) -> str:
    plain = _plain(text).encode()[:MAX_BYTES].decode("utf-8", "ignore")
    return f"{plain or 'corpus'}@{_digest(raw)[:10]}"


def _plain(text: str) -> str:
    composed = unicodedata.normalize("NFC", text)
    kept = (one if one in PUNCTUATION or unicodedata.category(one)[0] in "LMN" else "_" for one in composed)
    return re.sub(r"^[-~ ]", "_", "".join(kept)).rstrip(" .")


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _real(path: Path) -> Path:
    """The path with links in its parent folders resolved; its last part is kept even if it is a link."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100  takes .. away without following links
    return Path(os.path.realpath(whole.parent)) / whole.name


def _asked(info: dict[str, Any]) -> str:
    request = info.get("request")
    options = request.get("options") if isinstance(request, dict) else None
    return str(options.get("corpus") or "") if isinstance(options, dict) else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
