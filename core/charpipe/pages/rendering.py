"""Renders templates to pages. Values are escaped, because texts and names in them are not trusted."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **context: Any) -> str:
    """Render a file of `templates/` with `context`; a missing name is an error.

    Templates extend `base.html`, whose blocks are `title`, `style` (more CSS) and `content`.
    """
    return _environment().get_template(template).render(**context)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("charpipe.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
