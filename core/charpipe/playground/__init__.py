"""A local page on which a model writes: prompt, settings, the text as it comes, and each next character's bars."""

from charpipe.playground.answers import Playground
from charpipe.playground.server import PlaygroundServer, open_server

__all__ = ["Playground", "PlaygroundServer", "open_server"]
