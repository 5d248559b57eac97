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
from charpipe.cli.model_input import find_model, read_text, skipped_json
from charpipe.cli.output import for_output, print_json
from charpipe.cli.sample_options import check_beam, check_regex, check_web, clamps, given_options, stop_texts
from charpipe.cli.sample_page import write_on_page
from charpipe.cli.sample_results import print_beam, print_prompted, print_scored, print_texts
from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import UsageError
from charpipe.generation.prompts import file_name, read_prompts
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
    prompts_file: Annotated[
        str | None,
        typer.Option(
            help="A file with a prompt a line, or .jsonl; -: standard input; a text after each.  [default: none]"
        ),
    ] = None,
    stop: Annotated[
        list[str],
        typer.Option(
            help="Stop before this text; may be repeated: before the first of them.  [default: none]"
        ),
    ] = [],  # noqa: B006
    regex: Annotated[
        str | None,
        typer.Option(help="Write a text that matches this regular expression as a whole.  [default: none]"),
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option(help="Beam search: so many of the most probable texts, with scores.  [default: none]"),
    ] = None,
    logprobs: Annotated[
        bool, typer.Option("--logprobs", help="Print the log probability of each character, in nats.")
    ] = False,
    clamp: Annotated[
        list[str],
        typer.Option(
            metavar="UNIT=VALUE",
            help="Hold a unit of the state, layer.unit or state.layer.unit; may be repeated.  [default: none]",
        ),
    ] = [],  # noqa: B006
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
    web: Annotated[
        bool, typer.Option("--web", help="Write on a page in the browser, on this machine.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of --web.  [default: a free one]")
    ] = None,
    which: Checkpoint = "best",
    device: Device = "auto",
    strict: Strict = False,
    set_: Set = [],  # noqa: B006
    json: JsonObject = False,
) -> None:
    """Generate text with a trained model; it is printed as it is generated."""
    _check_prompt(prompt, prompt_file, prompts_file)
    several = count if count > 1 else None
    draws = given_options(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, greedy=greedy, seed=seed, count=several,
        logprobs=logprobs, precision=precision, engine=engine,
    )  # fmt: skip
    check_beam(beam, draws)
    shown = given_options(beam=beam, count=several, logprobs=logprobs, prompts_file=prompts_file, json=json)
    check_web(web, port, shown)
    check_regex(regex)
    held = clamps(clamp)
    resolved = settings(
        set_,
        sample__prompt=prompt,
        sample__length=length,
        sample__temperature=temperature,
        sample__top_k=top_k,
        sample__top_p=top_p,
        sample__min_p=min_p,
        sample__greedy=greedy or None,
        sample__stop=stop_texts(stop),
        sample__decoders__regex__pattern=regex,
        sample__seed=seed,
        sample__precision=precision,
        sample__engine=engine,
    )
    loaded = find_model(run, which, resolved)
    from charpipe.generation import beam_search, generate, generate_scored, sample_many, sample_prompts

    wanted, decoders = resolved.config.sample, open_registry().all("decoder")
    wanted, skipped = _with_prompt(wanted, prompt_file, loaded, resolved, strict)
    if held and wanted.precision == "int8":
        raise UsageError("--clamp needs the units in float32; leave out --precision int8")
    predictor, encoding = _held(loaded.predictor(device), held), loaded.encoding
    if web:
        from charpipe.playground import Playground

        write_on_page(
            Playground(loaded.name, loaded.model.title, predictor, encoding, wanted, decoders), port
        )
        return
    prompts = [wanted.prompt] if prompts_file is None else _prompts(prompts_file, encoding)
    each = [wanted.model_copy(update={"prompt": one}) for one in prompts for _ in range(count)]
    if beam is not None:
        for settings_ in each:
            results = beam_search(predictor, encoding, beam, settings_, decoders)
            print_beam(loaded.name, settings_.prompt, results, json, skipped)
    elif logprobs:
        scored = (generate_scored(predictor, encoding, one, decoders, n) for n, one in enumerate(each))
        print_scored(loaded.name, [one.prompt for one in each], scored, json, skipped)
    elif prompts_file is not None:
        given = [one.prompt for one in each]
        texts = sample_prompts(predictor, encoding, given, wanted, decoders)
        print_prompted(loaded.name, given, texts, json)
    elif count > 1:
        many = sample_many(predictor, encoding, count, wanted, decoders)
        print_texts(loaded.name, wanted.prompt, many, json, skipped)
    else:
        _print_text(
            loaded.name,
            wanted.prompt,
            generate(predictor, encoding, wanted, decoders=decoders),
            json,
            skipped,
        )


def _print_text(run: str, prompt: str, pieces: Iterable[str], json: bool, skipped: dict[str, Any]) -> None:
    if json:
        print_json({"run": run, "prompt": prompt, "text": prompt + "".join(pieces), **skipped})
        return
    sys.stdout.write(for_output(prompt))
    _stream(pieces)
    sys.stdout.write("\n")


def _check_prompt(text: str | None, file: str | None, prompts_file: str | None) -> None:
    given = [
        name
        for name, value in (("--prompt", text), ("--prompt-file", file), ("--prompts-file", prompts_file))
        if value is not None
    ]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} exclude each other; give one of them")
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


def _held(predictor: Any, units: dict[str, float]) -> Any:
    if not units:
        return predictor
    from charpipe.models.held_units import hold

    return hold(predictor, units)


def _prompts(file: str, encoding: Any) -> list[str]:
    """The prompts of a file. Raises UsageError where the vocabulary lacks a character of one."""
    prompts = read_prompts(file)
    for number, prompt in enumerate(prompts, 1):
        fit(prompt, encoding, f"{file_name(file)}, line {number}", strict=True, typed=True)
    return prompts


def _stream(pieces: Iterable[str]) -> None:
    """Write the pieces as they come; to the screen itself a few times a second is enough for the eye."""
    shown = 0.0
    for piece in pieces:
        sys.stdout.write(for_output(piece))
        if time.monotonic() - shown > FRAME:
            sys.stdout.flush()
            shown = time.monotonic()
