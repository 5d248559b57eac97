"""`charpipe sample` and `charpipe evaluate`: what a trained model writes, and how well it foresees a text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from charpipe.cli.environment import open_registry, open_workspace, settings
from charpipe.cli.output import print_json
from charpipe.errors import UsageError

RunName = Annotated[
    str, typer.Argument(help="A run: name, unique beginning, MLflow run id, `last` or `best:CORPUS`.")
]
Set = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Any setting; may be repeated.")]
Which = Annotated[str, typer.Option("--checkpoint", help="best or last.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def sample(
    run: RunName = "last",
    prompt: Annotated[str | None, typer.Option(help="Text the model reads before it writes.")] = None,
    length: Annotated[int | None, typer.Option(help="Tokens to write.")] = None,
    temperature: Annotated[
        float | None, typer.Option(help="0: always the likeliest; above 1: wilder.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed writes the same text.")] = None,
    which: Which = "best",
    device: Device = "auto",
    set_: Set = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Let a trained model write; the text is streamed as it is written."""
    resolved = settings(
        set_, sample__prompt=prompt, sample__length=length, sample__temperature=temperature, sample__seed=seed
    )
    loaded = _find(run, which, resolved)
    from charpipe.generation import generate

    wanted = resolved.config.sample
    pieces = generate(loaded.predictor(device), loaded.encoding, wanted)
    if json:
        print_json({"run": loaded.name, "prompt": wanted.prompt, "text": wanted.prompt + "".join(pieces)})
        return
    sys.stdout.write(wanted.prompt)
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")


def evaluate(
    run: RunName = "last",
    file: Annotated[
        Path | None, typer.Argument(help="A text of your own; without it the run's own splits.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Score all of a long text, not evenly spaced spans.")
    ] = False,
    which: Which = "best",
    device: Device = "auto",
    set_: Set = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Score a trained model: nats per token, bits per character and per byte."""
    resolved = settings(set_)
    if file is not None:
        scored = _score_file(run, file, which, device, full, resolved)
    else:
        scored = _score_splits(run, which, device, full)
    if json:
        print_json(scored)
        return
    for key, value in scored["metrics"].items():
        typer.echo(f"{key:<24} {value:.4f}")


def _find(run: str, which: str, resolved: Any) -> Any:
    from charpipe.library import find_model

    if which not in ("best", "last"):
        raise UsageError(f"--checkpoint {which!r} is neither best nor last")
    return find_model(run, open_workspace(), open_registry(), resolved.config.tracking, which)


def _score_file(run: str, file: Path, which: str, device: str, full: bool, resolved: Any) -> dict[str, Any]:
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8: {error.reason} at byte {error.start:,}") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    loaded = _find(run, which, resolved)
    from charpipe.evaluation import score_text

    scores = score_text(loaded.predictor(device), loaded.encoding, text, full=full)
    return {"run": loaded.name, "file": str(file), "metrics": scores.metrics("text"), "whole": scores.whole}


def _score_splits(run: str, which: str, device: str, full: bool) -> dict[str, Any]:
    from charpipe.evaluation import score
    from charpipe.library import load_run
    from charpipe.runs import find_run
    from charpipe.text import open_tokens

    workspace = open_workspace()
    found = find_run(workspace.runs, run)
    folder = workspace.store / "objects" / found.info.inputs["tokens"]
    if not folder.is_dir():
        raise UsageError(
            f"the tokens of {found.name} are gone; give a file: charpipe evaluate {found.name} FILE"
        )
    predictor = load_run(found, open_registry(), which).predictor(device)
    metrics: dict[str, float] = {}
    for split in ("val", "test"):
        held = open_tokens(folder, split)
        if len(held.tokens) > 1:
            scores = score(
                predictor, held.tokens, characters=held.characters, utf8_bytes=held.bytes, full=full
            )
            metrics |= scores.metrics(split)
    return {"run": found.name, "metrics": metrics}
