"""Self-contained HTML pages: no network access, light and dark mode, for desktop and phone screens."""

from charpipe.pages.rendering import embeddable, render

__all__ = ["embeddable", "render"]
