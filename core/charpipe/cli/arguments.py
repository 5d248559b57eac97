"""Arguments and options that several commands have, each defined once."""

from __future__ import annotations

from typing import Annotated

import typer

RunName = Annotated[
    str,
    typer.Argument(
        help="A run: name, unique prefix, short name or title as MLflow shows it, MLflow run id, `last`, "
        "`best:CORPUS` or `champion:CORPUS`."
    ),
]
ModelName = Annotated[
    str,
    typer.Argument(
        help="A run: name, unique prefix, short name or title as MLflow shows it, MLflow run id, `last`, "
        "`best:CORPUS` or `champion:CORPUS`; or the folder of an exported model, such as `./NAME`."
    ),
]
Set = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Any setting; may be repeated.")]
Checkpoint = Annotated[str, typer.Option("--checkpoint", help="best or last.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
JsonObject = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonArray = Annotated[bool, typer.Option("--json", help="Print one JSON array.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse a file with characters that the vocabulary lacks, not skip them."),
]


def flag_of(name: str) -> str:
    """What the command line calls an option of a pipeline: `from_` is `--from`."""
    return f"--{name.strip('_').replace('_', '-')}"
