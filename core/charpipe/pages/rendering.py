"""Templates to pages. What is put into a page is escaped, for texts and names in it are not trusted."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **context: Any) -> str:
    """The page that a file of `templates/` makes of `context`; a name that it lacks is an error.

    Templates extend `base.html`, whose blocks are `title`, `style` (more CSS) and `content`.
    """
    return _environment().get_template(template).render(**context)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("charpipe.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
