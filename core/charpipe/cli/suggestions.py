"""The right command for a word that is none: `charpipe train` suggests `charpipe run train-and-sample`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typer.core import TyperGroup

from charpipe.cli.arguments import flag_of
from charpipe.cli.environment import open_registry
from charpipe.errors import UsageError, near_match

TRAIN = "charpipe run train-and-sample --corpus CORPUS"
MEANT: Mapping[str, str] = {
    "train": TRAIN,
    "fit": TRAIN,
    "start": TRAIN,
    "compare": "charpipe runs compare RUN RUN",
    "generate": "charpipe sample RUN",
    "write": "charpipe sample RUN",
    "predict": "charpipe sample RUN",
    "eval": "charpipe evaluate RUN",
    "test": "charpipe evaluate RUN",
    "score": "charpipe evaluate RUN",
    "continue": "charpipe resume RUN",
    "list": "charpipe runs list",
    "ls": "charpipe runs list",
    "show": "charpipe runs show RUN",
    "status": "charpipe runs list",
    "promote": "charpipe models promote RUN",
    "rollback": "charpipe models rollback CORPUS",
    "settings": "charpipe config show",
    "stop": "charpipe down",
    "clean": "charpipe gc",
    "version": "charpipe --version",
    "help": "charpipe --help",
}
"""Words that people try, and the command that does what they mean."""


def _meant(word: str) -> str | None:
    """The command that does what a word means; a pipeline's name means to run it."""
    pipeline = open_registry().all("pipeline").get(word)
    if pipeline is None:
        return MEANT.get(word)
    fields = pipeline.options.model_fields.items()
    needed = (f" {flag_of(name)} {name.upper()}" for name, field in fields if field.is_required())
    return f"charpipe run {word}{''.join(needed)}"


class Suggesting(TyperGroup):
    """A group of commands that answers an unknown one with the nearest, or with what was probably meant."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As the base class; raises UsageError with a suggestion where there is no such command."""
        word = args[0] if args else ""
        if not word or word.startswith("-") or self.get_command(ctx, word) is not None:
            return super().resolve_command(ctx, args)
        known = self.list_commands(ctx)
        meant = _meant(word) if ctx.parent is None else None
        if meant is not None:
            raise UsageError(f"there is no command {word!r}; type: {meant}")
        raise UsageError(f"there is no command {ctx.command_path} {word}{near_match(word, known)}")
