"""`charpipe config`: every resolved value and where it came from."""

from __future__ import annotations

from typing import Annotated

import typer

from charpipe.cli.arguments import JsonArray
from charpipe.cli.defaults import spelled
from charpipe.cli.environment import open_registry
from charpipe.cli.output import print_json, print_table
from charpipe.config.load import leaves, load_config
from charpipe.config.validation import validate

app = typer.Typer(no_args_is_help=True)


@app.command("show")
def show(
    pipeline: Annotated[
        str | None, typer.Option(help="The settings of this pipeline.  [default: none]")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="With this preset.  [default: none]")] = None,
    set_: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="With this setting.")] = [],  # noqa: B006
    everything: Annotated[
        bool, typer.Option("--all", help="The defaults and the catalogue of corpora as well.")
    ] = False,
    json: JsonArray = False,
) -> None:
    """Print the settings that are not defaults, and where each is set; with --all every setting and the catalogue."""
    registry = open_registry()
    if pipeline is not None:
        registry.pipeline(pipeline)
    resolved = load_config(pipeline=pipeline, preset=preset, overrides=set_)
    values = leaves(resolved.config)
    for name, spec in registry.all("architecture").items():
        given = resolved.config.architectures.get(name, {})
        if given or not any(field.is_required() for field in spec.config.model_fields.values()):
            config = validate(spec.config, given, f"architectures.{name}", resolved.origins)
            values |= leaves(config, f"architectures.{name}.")
    rows = [
        (key, value, resolved.origins.get(key, "default"))
        for key, value in sorted(values.items())
        if everything or not key.startswith("corpora.")
    ]
    rows = [row for row in rows if everything or json or row[2] not in ("default", "built in")]
    if json:
        print_json([{"key": key, "value": value, "origin": origin} for key, value, origin in rows])
        return
    cells = [(key, spelled(value), origin) for key, value, origin in rows]
    print_table(
        ("setting", "value", "from"),
        cells,
        "Every setting is its default; to see them, type: charpipe config show --all",
    )
