"""HTML pages that carry everything they show: no network, light and dark, from a desk to a phone."""

from charpipe.pages.rendering import render

__all__ = ["render"]
