"""Where corpora come from: paths, URLs, the system's packages, Python's own library, and literal text."""

from __future__ import annotations

from charpipe.plugin import Source, hookimpl


@hookimpl
def charpipe_sources() -> list[Source]:
    """The sources of this plugin, by scheme."""
    web = "a file by URL, kept and checked"
    return [
        Source("file", "a path or glob", "charpipe_sources.files:fetch", "charpipe_sources.files:there"),
        Source("http", web, "charpipe_sources.web:fetch", "charpipe_sources.web:there"),
        Source("https", web, "charpipe_sources.web:fetch", "charpipe_sources.web:there"),
        Source(
            "apt",
            "a Debian or Ubuntu package, fetched without root and not installed",
            "charpipe_sources.apt:fetch",
            "charpipe_sources.apt:there",
        ),
        Source(
            "python",
            "this interpreter's standard library (python:stdlib)",
            "charpipe_sources.interpreter:fetch",
            "charpipe_sources.interpreter:there",
        ),
        Source("text", "the text itself", "charpipe_sources.literal:fetch", "charpipe_sources.literal:there"),
    ]
