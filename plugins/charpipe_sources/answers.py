"""What a server sent where a text or an archive was expected: HTML and JSON answers, pointers of Git LFS."""

from __future__ import annotations

import codecs
import html
import json
import re
from pathlib import Path

HEAD_BYTES = 1 << 16
ARCHIVES = frozenset(
    (
        ".zip",
        ".gz",
        ".tgz",
        ".bz2",
        ".tbz2",
        ".tbz",
        ".xz",
        ".txz",
        ".lzma",
        ".zst",
        ".zstd",
        ".tzst",
        ".tar",
        ".deb",
        ".7z",
        ".rar",
        ".jar",
    )
)
PAGES = frozenset(
    (
        ".html",
        ".htm",
        ".xhtml",
        ".xht",
        ".shtml",
        ".xml",
        ".svg",
        ".rss",
        ".atom",
        ".md",
        ".markdown",
        ".tex",
        ".vue",
        ".hbs",
    )
)
"""Kinds of files in which markup is what is expected (Markdown may begin with HTML)."""
NOTATIONS = frozenset(
    (
        ".json",
        ".jsonl",
        ".ndjson",
        ".ipynb",
        ".geojson",
        ".webmanifest",
        ".map",
    )
)
_TAGS = "html|head|body|script|iframe|h1|div|font|table|a|style|title|b|br|p|meta|link|center"
_HTML = re.compile(
    rf"(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*(?:<!doctype\s+html|<(?:{_TAGS})[\s/>])", re.I | re.S
)
_XML = re.compile(r"<\?xml\s", re.I)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.I | re.S)
_LFS = "version https://git-lfs.github.com/spec/"
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def suffix_of(name: str) -> str:
    """The last suffix of a file's name, in lower case."""
    return Path(name).suffix.lower()


def unexpected(name: str, path: Path) -> str:
    """What lies at `path`, in words ("an HTML page"), where that is not what the file `name` should be; else ""."""
    with path.open("rb") as file:
        head = _decoded(file.read(HEAD_BYTES)).lstrip("\ufeff \t\r\n\f\v")
    suffix = suffix_of(name)
    if head.startswith(_LFS):
        return "a pointer of Git LFS"
    if suffix not in PAGES and _HTML.match(head):
        return "an HTML page" + _title(head)
    if suffix not in PAGES and _XML.match(head):
        return "an XML document"
    if suffix not in NOTATIONS and _is_json(head, path):
        return "a JSON document"
    return ""


def expects_archive(name: str) -> bool:
    """Whether a file of this name should be compressed or hold other files."""
    return suffix_of(name) in ARCHIVES


def _decoded(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    return data.decode("utf-8", "replace")


def _title(head: str) -> str:
    found = _TITLE.search(head)
    title = " ".join(html.unescape(found[1]).split()) if found else ""
    title = "".join(character for character in title if character.isprintable())
    return f" (its title: {title[:80]!r})" if title else ""


def _is_json(head: str, path: Path) -> bool:
    """Whether the whole file is one JSON object, and short enough to be an answer rather than data."""
    if not head.startswith("{") or path.stat().st_size > HEAD_BYTES:
        return False
    try:
        return isinstance(json.loads(head), dict)
    except (ValueError, RecursionError):
        return False
