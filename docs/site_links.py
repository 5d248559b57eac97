"""A hook of mkdocs: links from a page to files outside docs/ work in the repository, and on the site as well.

A result of a benchmark becomes a page of the site. Any other file or folder is named by its path in the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
RESULTS = "benchmarks/results"
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the results of the benchmarks to the site."""
    for path in sorted((ROOT / RESULTS).glob("*.md")):
        text = path.read_text(encoding="utf-8")
        files.append(File.generated(config, f"results/{path.name}", content=_to_repository(text, RESULTS)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links that leave docs/ into links of the site."""
    if page.file.src_uri.startswith("results/"):
        return markdown
    return _to_repository(markdown, posixpath.join("docs", posixpath.dirname(page.file.src_uri)))


def _to_repository(markdown: str, folder: str) -> str:
    """`markdown` of a page in `folder` of the repository, without links to what is not on the site."""

    def replace(link: re.Match[str]) -> str:
        text, target, anchor = link[1], posixpath.normpath(posixpath.join(folder, link[2])), link[3] or ""
        if not (ROOT / target).exists():
            raise ValueError(f"{folder}: there is no {target} in the repository to link to")
        if target.startswith(f"{RESULTS}/") and target.endswith(".md"):
            page = f"docs/results/{posixpath.basename(target)}"
            return f"[{text}]({posixpath.relpath(page, folder)}{anchor})"
        if target.startswith("docs/"):
            return link[0]
        return text if target in text else f"{text} (`{target}`)"

    return _LINK.sub(replace, markdown)
