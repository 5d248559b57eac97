"""The `charpipe` command: its groups, the commands that plugins add, and what happens to errors."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

import typer

from charpipe.cli import (
    catalogue,
    champions,
    housekeeping,
    inspection,
    models,
    reports,
    runs,
    settings,
    training,
)
from charpipe.cli.environment import open_registry
from charpipe.cli.failures import report
from charpipe.cli.output import speak_safely
from charpipe.cli.suggesting import Suggesting
from charpipe.errors import OwnershipError
from charpipe.plugin import Command, resolve
from charpipe.registry import Registry

HELP = """Train character-level recurrent language models: one command from raw text to samples.

    charpipe run train-and-sample --corpus hello
"""


BUILTIN = {
    "run",
    "resume",
    "sample",
    "evaluate",
    "inspect",
    "models",
    "report",
    "runs",
    "corpora",
    "plugins",
    "pipelines",
    "config",
}


def build_app(registry: Registry) -> typer.Typer:
    """The whole command line, with the pipelines and commands of these plugins."""
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
    app.add_typer(training.run_app(registry), name="run", help="Run a pipeline.")
    app.command("resume")(training.resume)
    app.command("sample")(models.sample)
    app.command("evaluate")(models.evaluate)
    app.command("inspect")(inspection.inspect)
    app.command("report")(reports.report)
    app.command("gc")(housekeeping.gc)
    app.add_typer(champions.app, name="models", help="Each corpus's champion, and what was kept before it.")
    app.add_typer(runs.app, name="runs", help="What was trained here.")
    app.add_typer(catalogue.corpora, name="corpora", help="The corpora that charpipe knows.")
    app.add_typer(catalogue.plugins, name="plugins", help="Architectures, tokenizers, sources, pipelines.")
    app.add_typer(catalogue.pipelines, name="pipelines", help="What `charpipe run` can run.")
    app.add_typer(settings.app, name="config", help="Settings, and where they came from.")
    for name, command in registry.all("command").items():
        _add_command(app, registry, name, command)
    return app


def _add_command(app: typer.Typer, registry: Registry, name: str, command: Command) -> None:
    """A plugin's command; a broken one, or one that would hide a builtin, becomes a problem of its plugin."""
    provider = registry.find("command", name).provider
    if name in BUILTIN:
        provider.problems.append(f"command {name!r} is charpipe's own; rename this one")
        return
    try:
        found = resolve(command.app)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, help=command.summary)
        else:
            app.command(name, help=command.summary)(found)
    except Exception as error:
        provider.problems.append(f"command {name!r} cannot be used: {error}")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"charpipe {version('charpipe')}")
        raise typer.Exit


def _global(
    version: bool = typer.Option(
        False, "--version", help="Print the version.", callback=_version, is_eager=True
    ),
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks; may stand anywhere."),
) -> None:
    pass


def _speak_utf8() -> None:
    """Where the locale is not UTF-8, begin anew in Python's UTF-8 mode: corpora and file names are UTF-8 everywhere."""
    if sys.getfilesystemencoding().lower() != "utf-8" and sys.flags.utf8_mode == 0:
        os.environ["PYTHONUTF8"] = "1"
        words = [os.fsencode(word) for word in (sys.executable, "-P", "-m", "charpipe", *sys.argv[1:])]
        os.execv(sys.executable, words)  # noqa: S606


def _own_process() -> None:
    """Set what libraries read from the user's environment and what is not meant for this program."""
    os.environ["MPLBACKEND"] = "agg"  # charts are written to files
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
        app = build_app(_plugins(words))
        app(args=words, prog_name="charpipe", standalone_mode=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except BaseException as error:
        return report(error, debug=debug)
    return 0
