"""The command line. Nothing heavy is imported until a command needs it."""

from charpipe.cli.app import main

__all__ = ["main"]
