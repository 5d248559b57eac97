"""`charpipe sample` and `charpipe evaluate`: what a trained model writes, and how well it foresees a text."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from charpipe.cli.defaults import with_default
from charpipe.cli.environment import open_registry, open_workspace, settings
from charpipe.cli.output import for_output, print_json, print_pairs
from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import UsageError
from charpipe.store.paths import printable

RunName = Annotated[
    str,
    typer.Argument(
        help="A run: name, unique beginning, short name or title as MLflow shows it, MLflow run id, `last`, "
        "`best:CORPUS` or `champion:CORPUS`."
    ),
]
Set = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Any setting; may be repeated.")]
Which = Annotated[str, typer.Option("--checkpoint", help="best or last.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse a file with characters that the vocabulary lacks, not skip them."),
]
FRAME = 0.04
"""Seconds between two looks at the screen."""


def sample(
    run: RunName = "last",
    prompt: Annotated[
        str | None,
        typer.Option(help=with_default("Text the model reads before it writes.", SampleConfig, "prompt")),
    ] = None,
    prompt_file: Annotated[
        str | None,
        typer.Option(
            help="A file with that text, read as the run's corpus was; -: standard input.  [default: none]"
        ),
    ] = None,
    length: Annotated[
        int | None, typer.Option(help=with_default("Tokens to write.", SampleConfig, "length"))
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help=with_default("0: always the likeliest; above 1: wilder.", SampleConfig, "temperature")
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(help=with_default("Choose among so many of the likeliest.", SampleConfig, "top_k")),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help=with_default(
                "Choose among the likeliest that together have this probability.", SampleConfig, "top_p"
            )
        ),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(
            help=with_default(
                "Leave out what has less than this share of the greatest probability.", SampleConfig, "min_p"
            )
        ),
    ] = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always the likeliest.")] = False,
    stop: Annotated[
        str | None, typer.Option(help=with_default("Stop writing before this text.", SampleConfig, "stop"))
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help=with_default("The same seed writes the same text.", SampleConfig, "seed")),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help=with_default(
                "float32, bfloat16, float16 or int8; for many texts, and on CUDA.", SampleConfig, "precision"
            )
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help=with_default("auto, compiled, arrays or plain.", SampleConfig, "engine")),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=4096, help="Texts to write side by side.")] = 1,
    which: Which = "best",
    device: Device = "auto",
    strict: Strict = False,
    set_: Set = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Let a trained model write; the text is streamed as it is written."""
    _check_prompt(prompt, prompt_file)
    resolved = settings(
        set_,
        sample__prompt=prompt,
        sample__length=length,
        sample__temperature=temperature,
        sample__top_k=top_k,
        sample__top_p=top_p,
        sample__min_p=min_p,
        sample__greedy=greedy or None,
        sample__stop=stop,
        sample__seed=seed,
        sample__precision=precision,
        sample__engine=engine,
    )
    loaded = _find(run, which, resolved)
    from charpipe.generation import generate, sample_many

    wanted, decoders = resolved.config.sample, open_registry().all("decoder")
    wanted, skipped = _with_prompt(wanted, prompt_file, loaded, resolved, strict)
    predictor = loaded.predictor(device)
    if count > 1:
        texts = sample_many(predictor, loaded.encoding, count, wanted, decoders)
        _print_texts(loaded.name, wanted.prompt, texts, json, skipped)
        return
    pieces = generate(predictor, loaded.encoding, wanted, decoders=decoders)
    if json:
        text = wanted.prompt + "".join(pieces)
        print_json({"run": loaded.name, "prompt": wanted.prompt, "text": text, **skipped})
        return
    sys.stdout.write(for_output(wanted.prompt))
    _stream(pieces)
    sys.stdout.write("\n")


EMPTY = "the prompt is empty; leave it out, and the model begins as after a line break"


def _check_prompt(text: str | None, file: str | None) -> None:
    if text is not None and file is not None:
        raise UsageError("--prompt and --prompt-file exclude each other; give one of them")
    if text == "":
        raise UsageError(EMPTY)


def _with_prompt(
    wanted: SampleConfig, file: str | None, loaded: Any, resolved: Any, strict: bool
) -> tuple[SampleConfig, dict[str, Any]]:
    """The settings with the prompt that the model can read, and, as JSON, what of a file was skipped.

    A prompt that was typed is never changed: UsageError where the vocabulary lacks a character of it.
    """
    from charpipe.text.coverage import fit

    if file is None:
        fit(wanted.prompt, loaded.encoding, "the prompt", strict=True, typed=True)
        return wanted, {}
    given = _given(file, loaded, resolved, strict)
    if not given.text:
        raise UsageError(EMPTY if not given.fitted.skipped else f"the prompt is empty: {given.notices[-1]}")
    return wanted.model_copy(update={"prompt": given.text}), _skipped(given)


def _given(file: str, loaded: Any, resolved: Any, strict: bool) -> Any:
    """The text of a file for this model; what a person should know of it is told."""
    from charpipe.runs.given_text import read_given_text

    given = read_given_text(file, loaded, open_workspace(), resolved, strict=strict)
    for notice in given.notices:
        typer.echo(f"note: {notice}", err=True)
    return given


def _skipped(given: Any) -> dict[str, Any]:
    return {"skipped": given.fitted.as_json()} if given.fitted.skipped else {}


def _stream(pieces: Iterable[str]) -> None:
    """Write the pieces as they come; to the screen itself a few times a second is enough for the eye."""
    shown = 0.0
    for piece in pieces:
        sys.stdout.write(for_output(piece))
        if time.monotonic() - shown > FRAME:
            sys.stdout.flush()
            shown = time.monotonic()


def _print_texts(run: str, prompt: str, texts: list[str], json: bool, skipped: dict[str, Any]) -> None:
    if json:
        print_json({"run": run, "prompt": prompt, "texts": texts, **skipped})
        return
    for number, text in enumerate(texts, 1):
        sys.stdout.write(f"--- {number} of {len(texts)}\n{for_output(text)}\n")


def evaluate(
    run: RunName = "last",
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
            "--dynamic", help="Score it also as a model that goes on learning from what it has read, apart."
        ),
    ] = False,
    which: Which = "best",
    device: Device = "auto",
    strict: Strict = False,
    set_: Set = [],  # noqa: B006
    json: Json = False,
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


def _find(run: str, which: str, resolved: Any) -> Any:
    from charpipe.tracking.models import find_model

    if which not in ("best", "last"):
        raise UsageError(f"--checkpoint {which!r} is neither best nor last")
    return find_model(run, open_workspace(), open_registry(), resolved.config.tracking, which)


def _score_file(
    run: str, file: str, which: str, device: str, full: bool, dynamic: bool, strict: bool, resolved: Any
) -> dict[str, Any]:
    loaded = _find(run, which, resolved)
    given = _given(file, loaded, resolved, strict)
    text = given.text
    if len(text) < 2 and len(loaded.encoding.encode(text)) < 2:
        raise UsageError(
            f"{given.name} has {len(text):,} characters that the model can read; at least two are needed to score it"
        )
    from charpipe.evaluation import score_text
    from charpipe.evaluation.baselines import baselines, named
    from charpipe.runs.uniform_baseline import warn_about_text

    predictor = loaded.predictor(device)
    scores = score_text(predictor, loaded.encoding, text, full=full)
    metrics = scores.metrics("text") | named("text", baselines(text))
    if dynamic:
        from charpipe.evaluation.dynamic import score_dynamically

        training, tokens = _trained_on(loaded.name), loaded.encoding.encode(text)
        adapted = score_dynamically(predictor, tokens, training, characters=len(text), full=full)
        metrics |= adapted.metrics("text")
    return {
        "run": loaded.name,
        "file": printable(file),
        "metrics": metrics,
        "whole": scores.whole,
        "characters": len(text),
        **_skipped(given),
        "warning": warn_about_text(open_workspace().runs, loaded.name, loaded.encoding.size, metrics),
    }


def _tokens_of(run: str) -> tuple[Any, Path]:
    """A run, and the folder of the tokens it was trained on."""
    from charpipe.runs import find_run

    workspace = open_workspace()
    found = find_run(workspace.runs, run, use="model")
    return found, workspace.store / "objects" / found.info.inputs["tokens"]


def _trained_on(run: str) -> Any:
    """The training tokens of a run."""
    from charpipe.text import open_tokens

    found, folder = _tokens_of(run)
    if not folder.is_dir():
        raise UsageError(f"the tokens that {found.name} was trained on are gone; leave --dynamic out")
    return open_tokens(folder, "train").tokens


def _score_splits(run: str, which: str, device: str, full: bool, dynamic: bool) -> dict[str, Any]:
    from charpipe.evaluation import score
    from charpipe.runs.models import load_run
    from charpipe.runs.uniform_baseline import warn_about
    from charpipe.stages.baselines import recorded_baselines
    from charpipe.text import open_tokens

    found, folder = _tokens_of(run)
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
