"""The `charpipe` command: a typer application made of the commands that plugins provide, charpipe's own among them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Any

import typer

from charpipe.cli.environment import open_registry, plugins_of_command
from charpipe.cli.error_messages import report
from charpipe.cli.output import speak_safely
from charpipe.cli.suggestions import Suggesting
from charpipe.errors import OwnershipError, PluginError
from charpipe.plugin import Command, resolve
from charpipe.plugins.registry import Provided, Registry

HELP = """Train character-level recurrent language models: one command from raw text to samples.

    charpipe run train-and-sample --corpus hello
"""


def build_command(registry: Registry, words: Sequence[str] = ()) -> Any:
    """The command line as a click command: whole, or where the `words` that were typed begin with a command, only that
    one, so that no other is imported. A plugin's command that typer refuses is left out."""
    only = _named(registry, words)
    try:
        return typer.main.get_command(build_app(registry, only=only))
    except Exception:  # typer reads signatures only now, and one that it refuses breaks every command
        return typer.main.get_command(build_app(registry, check=True, only=only))


def _named(registry: Registry, words: Sequence[str]) -> str | None:
    """The command that the words name, if there is one."""
    word = next((word for word in words if not word.startswith("-")), None)
    return word if word in registry.all("command") else None


def build_app(registry: Registry, *, check: bool = False, only: str | None = None) -> typer.Typer:
    """The whole command line, with the pipelines and commands of these plugins, or `only` one command; with `check`,
    each of them is built by itself first."""
    app = typer.Typer(
        name="charpipe",
        cls=Suggesting,
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_global)
    for provided in registry.provided("command"):
        if only in (None, provided.spec.name):
            _add_command(app, registry, provided, check)
    for name, conflict in registry.conflicts("command").items():
        _add_unusable(app, name, conflict)
    return app


def _add_command(app: typer.Typer, registry: Registry, provided: Provided, check: bool) -> None:
    """Add a command; one that cannot be imported becomes a problem of its plugin, and an error where it is called."""
    command: Command = provided.spec
    try:
        found = resolve(command.app)
        if command.factory:
            found = found(registry)
        if check:
            alone = typer.Typer()
            _add(alone, command, found)
            typer.main.get_command(alone)
        _add(app, command, found)
    except (Exception, SystemExit) as error:
        problem = f"command {command.name!r} cannot be used: {error}"
        provided.provider.problems.append(problem)
        _add_unusable(app, command.name, f"the plugin {provided.provider.module}: {problem}")


def _add(app: typer.Typer, command: Command, found: Any) -> None:
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=command.name, help=command.summary)
    elif callable(found):
        summary = command.summary or None
        app.command(command.name, help=found.__doc__ or summary, short_help=summary)(found)
    else:
        raise TypeError(f"{found!r} is neither a function nor a typer.Typer")


def _add_unusable(app: typer.Typer, name: str, problem: str) -> None:
    """A command that is not listed and says what is wrong with it: its plugin is broken, or two provide it."""

    @app.command(
        name, hidden=True, context_settings={"ignore_unknown_options": True, "help_option_names": []}
    )
    def unusable(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
        raise PluginError(problem)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"charpipe {metadata.version('charpipe')}")
        raise typer.Exit


def _global(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_version, is_eager=True
    ),
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks; may be given anywhere."),
) -> None:
    pass


def _speak_utf8() -> None:
    """If the locale is not UTF-8, restart in Python's UTF-8 mode: corpora and file names are UTF-8 everywhere."""
    if sys.getfilesystemencoding().lower() != "utf-8" and sys.flags.utf8_mode == 0:
        os.environ["PYTHONUTF8"] = "1"
        words = [os.fsencode(word) for word in (sys.executable, "-P", "-m", "charpipe", *sys.argv[1:])]
        os.execv(sys.executable, words)  # noqa: S606


def _own_process() -> None:
    """Set what libraries read from the user's environment and what is not meant for this program."""
    os.environ["MPLBACKEND"] = "agg"  # MLflow and plugins may draw, and there may be no display
    warnings.filterwarnings("ignore", category=UserWarning, module=r"mlflow\b")


def _plugins(words: Sequence[str]) -> Registry:
    """The plugins of a command line. `--version` needs none of the project's, and help can do without them."""
    if words[:1] == ["--version"]:
        return Registry()
    try:
        return open_registry()
    except OwnershipError as error:
        if not {"--help", "-h"} & set(words):
            raise
        print(f"charpipe: {error}", file=sys.stderr)  # noqa: T201
        return Registry()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0 done, 1 failed, 2 usage, 130 or 143 interrupted."""
    if arguments is None:
        _speak_utf8()
        _own_process()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    words = [word for word in given if word != "--debug"]
    speak_safely()
    try:
        registry = _plugins(words)
        command = build_command(registry, words)
        with plugins_of_command(registry):
            command(args=words, prog_name="charpipe", standalone_mode=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except BaseException as error:
        return report(error, debug=debug)
    return 0
