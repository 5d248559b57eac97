"""Renders templates to pages. Values are escaped, because texts and names in them are not trusted."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **context: Any) -> str:
    """Render a file of `templates/` with `context`; a missing name is an error.

    Templates extend `base.html`, whose blocks are `title`, `style` (more CSS) and `content`.
    """
    return _environment().get_template(template).render(**context)


def embeddable(value: Any) -> str:
    """ASCII JSON for a script of a page, which no HTML parser can mistake for markup."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("charpipe.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
