"""`charpipe evaluate`: score a trained model on its own held-out text, or on a text of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from charpipe.cli.arguments import Checkpoint, Device, JsonObject, ModelName, Set, Strict
from charpipe.cli.environment import open_registry, open_runs, open_workspace, settings
from charpipe.cli.model_input import find_model, read_text, skipped_json
from charpipe.cli.output import print_json, print_pairs
from charpipe.corpus.ends import END
from charpipe.errors import UsageError
from charpipe.plugin import end_token
from charpipe.runs.paths import is_path
from charpipe.runs.uniform_baseline import warn_about, warn_about_text
from charpipe.store.paths import printable, shell_word


def evaluate(
    run: ModelName = "last",
    file: Annotated[
        str | None,
        typer.Argument(
            help="A text of your own, read as the run's corpus was; -: standard input.  "
            "[default: the run's own splits]"
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Score all of a long text, not evenly spaced spans.")
    ] = False,
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic", help="Also compute dynamic evaluation: the model trains on the text as it is scored."
        ),
    ] = False,
    which: Checkpoint = "best",
    device: Device = "auto",
    strict: Strict = False,
    set_: Set = [],  # noqa: B006
    json: JsonObject = False,
) -> None:
    """Score a trained model: nats per token, bits per character and per byte."""
    resolved = settings(set_)
    if file is not None:
        scored = _score_file(run, file, which, device, full, dynamic, strict, resolved)
    else:
        scored = _score_splits(run, which, device, full, dynamic)
    if json:
        print_json(scored)
        return
    skipped = scored.get("skipped")
    skipped = {"skipped characters": f"{skipped['characters']:,} (not scored)"} if skipped else {}
    print_pairs([*scored["metrics"].items(), *skipped.items()], indent="")
    if scored["warning"]:
        typer.echo(f"charpipe: {scored['warning']}", err=True)


def _score_file(
    run: str, file: str, which: str, device: str, full: bool, dynamic: bool, strict: bool, resolved: Any
) -> dict[str, Any]:
    loaded = find_model(run, which, resolved)
    given = read_text(file, loaded, resolved, strict, documents=True)
    text = given.text
    ends = end_token(loaded.encoding) is not None
    characters = len(text) - (text.count(END) if ends else 0)
    if len(text) < 2 and len(loaded.encoding.encode(text)) < 2:
        raise UsageError(
            f"{given.name} has {len(text):,} characters that the model can read; at least two are needed to score it"
        )
    from charpipe.evaluation import score_text
    from charpipe.evaluation.baselines import baselines, named

    predictor = loaded.predictor(device)
    scores = score_text(predictor, loaded.encoding, text, full=full)
    metrics = scores.metrics("text") | named("text", baselines(text, ends=ends))
    if dynamic:
        from charpipe.evaluation.dynamic import score_dynamically

        training, tokens = _trained_on(loaded.name), loaded.encoding.encode(text)
        adapted = score_dynamically(predictor, tokens, training, characters=characters, full=full)
        metrics |= adapted.metrics("text")
    return {
        "run": loaded.name,
        "file": printable(file),
        "metrics": metrics,
        "whole": scores.whole,
        "characters": characters,
        **skipped_json(given),
        "warning": warn_about_text(open_workspace().runs, loaded.name, loaded.encoding.size, metrics),
    }


def _tokens_of(run: str, which: str | None = None) -> tuple[Any, Path]:
    """A run, with a checkpoint if one is asked for, and the folder of the tokens it was trained on."""
    runs = open_runs()
    found = runs.find(run, use="model", checkpoint=which)
    return found, runs.obtain(found.info.inputs["tokens"])


def _trained_on(run: str) -> Any:
    """The training tokens of a run."""
    from charpipe.text import open_tokens

    found, folder = _tokens_of(run)
    if not folder.is_dir():
        raise UsageError(f"the tokens that {found.name} was trained on are gone; leave --dynamic out")
    return open_tokens(folder, "train").tokens


def _score_splits(run: str, which: str, device: str, full: bool, dynamic: bool) -> dict[str, Any]:
    if is_path(run):
        raise UsageError(
            f"an exported model has no held-out text; give a file: charpipe evaluate {shell_word(run)} FILE"
        )
    from charpipe.evaluation import score
    from charpipe.runs.models import load_run
    from charpipe.stages.baselines import recorded_baselines
    from charpipe.text import open_tokens

    found, folder = _tokens_of(run, which)
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
            if dynamic:
                from charpipe.evaluation.dynamic import score_dynamically

                adapted = score_dynamically(
                    predictor, held.tokens, _trained_on(run), characters=held.characters, full=full
                )
                metrics |= adapted.metrics(split)
    return {
        "run": found.name,
        "metrics": metrics | recorded_baselines(found.status.metrics),
        "warning": warn_about(found.info, found.status, metrics),
    }
