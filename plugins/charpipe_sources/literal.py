"""A corpus that is its own name: `text:hello` is the five letters of the blog's example."""

from __future__ import annotations

from pathlib import Path

from charpipe.plugin import CorpusError, Fetched, Fetcher


def fetch(spec: str, fetcher: Fetcher) -> Fetched:
    """The text after `text:`, exactly."""
    text = spec.removeprefix("text:")
    if not text:
        raise CorpusError("'text:' holds no text; write the text after the colon")
    return Fetched(origin=f"the text {text[:40]!r}", text=text)


def there(spec: str, cache: Path) -> bool:
    """It always is."""
    return spec != "text:"
