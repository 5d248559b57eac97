"""`charpipe sample`: let a trained model write."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from charpipe.cli.arguments import Checkpoint, Device, JsonObject, ModelName, Set, Strict
from charpipe.cli.defaults import with_default
from charpipe.cli.environment import open_registry, settings
from charpipe.cli.model_input import find_bundle, read_text, skipped_json
from charpipe.cli.output import for_output, print_json
from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import UsageError
from charpipe.text.coverage import fit

FRAME = 0.04
"""Seconds between two updates of the screen."""
EMPTY = "the prompt is empty; leave it out, and the model starts as after a line break"


def sample(
    run: ModelName = "last",
    prompt: Annotated[
        str | None,
        typer.Option(help=with_default("Text that the model reads first.", SampleConfig, "prompt")),
    ] = None,
    prompt_file: Annotated[
        str | None,
        typer.Option(
            help="A file with that text, read as the run's corpus was; -: standard input.  [default: none]"
        ),
    ] = None,
    length: Annotated[
        int | None, typer.Option(help=with_default("Tokens to generate.", SampleConfig, "length"))
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help=with_default(
                "0: always the most probable token; above 1: more random.", SampleConfig, "temperature"
            )
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            help=with_default("Sample from this many of the most probable tokens.", SampleConfig, "top_k")
        ),
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            help=with_default(
                "Sample from the most probable tokens that together have this probability.",
                SampleConfig,
                "top_p",
            )
        ),
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(
            help=with_default(
                "Leave out tokens with less than this fraction of the highest probability.",
                SampleConfig,
                "min_p",
            )
        ),
    ] = None,
    greedy: Annotated[bool, typer.Option("--greedy", help="Always take the most probable token.")] = False,
    stop: Annotated[
        str | None, typer.Option(help=with_default("Stop before this text.", SampleConfig, "stop"))
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help=with_default("The same seed gives the same text.", SampleConfig, "seed")),
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
    count: Annotated[int, typer.Option(min=1, max=4096, help="Texts to generate in one batch.")] = 1,
    which: Checkpoint = "best",
    device: Device = "auto",
    strict: Strict = False,
    set_: Set = [],  # noqa: B006
    json: JsonObject = False,
) -> None:
    """Generate text with a trained model; it is printed as it is generated."""
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
    loaded = find_bundle(run, which, resolved)
    from charpipe.generation.opening import open_writer
    from charpipe.generation.sampling import generate

    wanted, decoders = resolved.config.sample, open_registry().all("decoder")
    wanted, skipped = _with_prompt(wanted, prompt_file, loaded, resolved, strict)
    if count > 1:
        from charpipe.generation.batches import sample_many

        predictor = loaded.load().predictor(device)
        texts = sample_many(predictor, loaded.encoding, count, wanted, decoders)
        _print_texts(loaded.name, wanted.prompt, texts, json, skipped)
        return
    writer = open_writer(loaded, wanted, device)
    pieces = generate(writer, loaded.encoding, wanted, decoders=decoders)
    if json:
        text = wanted.prompt + "".join(pieces)
        print_json({"run": loaded.name, "prompt": wanted.prompt, "text": text, **skipped})
        return
    sys.stdout.write(for_output(wanted.prompt))
    _stream(pieces)
    sys.stdout.write("\n")


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
    if file is None:
        fit(wanted.prompt, loaded.encoding, "the prompt", strict=True, typed=True)
        return wanted, {}
    given = read_text(file, loaded, resolved, strict)
    if not given.text:
        raise UsageError(EMPTY if not given.fitted.skipped else f"the prompt is empty: {given.notices[-1]}")
    return wanted.model_copy(update={"prompt": given.text}), skipped_json(given)


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
