"""`charpipe export`: a trained model for others."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from charpipe.cli.arguments import Checkpoint, JsonObject, ModelName
from charpipe.cli.environment import settings
from charpipe.cli.output import for_output, print_json

SMALLEST = 0.0001
"""The least cost that is shown as a number."""


def export(
    run: ModelName = "last",
    to: Annotated[
        str,
        typer.Option(
            help="folder: safetensors, JSON and a model card; html: a page that writes by itself; onnx: one step "
            "as a graph."
        ),
    ] = "folder",
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write it.  [default: the run's name, in the working directory]"),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Upload the folder to this repository of the Hugging Face Hub; a new one is private.",
        ),
    ] = None,
    opset: Annotated[int | None, typer.Option(help="ONNX's opset, 13 or later.  [default: 17]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    which: Checkpoint = "best",
    json: JsonObject = False,
) -> None:
    """Export a trained model: a folder that `charpipe.load` reads, a web page that writes, or an ONNX graph."""
    from charpipe.api.export import write

    done = write(run, to, out, settings(), which=which, opset=opset, repository=push, force=force)
    if json:
        print_json(
            {
                "run": done.facts.run,
                "to": done.form,
                "path": str(done.path),
                "address": done.address,
                "quantisation_bits_per_char": done.cost,
            }
        )
        return
    typer.echo(for_output(f"{done.form:<8}{done.path}"))
    if done.address:
        typer.echo(for_output(f"{'hub':<8}{done.address}"))
    if done.cost is not None:
        cost = f"{done.cost:.4f}" if done.cost >= SMALLEST else f"less than {SMALLEST}"
        typer.echo(f"        8-bit weights cost {cost} bits per character, on text that the model wrote")
    if done.form == "folder":
        typer.echo(for_output(f"\n  charpipe sample {quote(_as_path(done.path))}"))


def _as_path(place: Path) -> str:
    """What names the folder and no run: with a slash in it."""
    return str(place) if "/" in str(place) else f"./{place}"
