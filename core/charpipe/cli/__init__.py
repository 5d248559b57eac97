"""The command line. Nothing heavy is imported until a command needs it."""

import os

# pydantic looks for plugins of its own in the metadata of every installed package, when the first settings are defined
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

from charpipe.cli.app import main

__all__ = ["main"]
