"""`charpipe sample`: let a trained model write."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from charpipe.cli.arguments import Checkpoint, Device, JsonObject, ModelName, Set, Strict
from charpipe.cli.defaults import with_default
from charpipe.cli.environment import settings
from charpipe.cli.model_input import find_bundle, read_text, skipped_json
from charpipe.cli.sample_options import (
    check_beam,
    check_documents,
    check_regex,
    check_web,
    clamps,
    given_options,
    stop_texts,
)
from charpipe.cli.sample_writing import Form, write
from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import UsageError
from charpipe.text.coverage import fit

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
    documents: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            help="Whole documents to generate, of up to --length tokens each.  [default: none]",
        ),
    ] = None,
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
    given = given_options(
        temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, greedy=greedy, seed=seed,
        precision=precision, engine=engine, count=count > 1, documents=documents, beam=beam, logprobs=logprobs,
        prompts_file=prompts_file, json=json,
    )  # fmt: skip
    check_beam(beam, given)
    check_web(web, port, given)
    check_documents(documents, given)
    check_regex(regex)
    form = Form(count, documents, beam, logprobs, prompts_file, web, port, clamps(clamp), json)
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
    bundle = find_bundle(run, which, resolved)
    wanted, skipped = _with_prompt(resolved.config.sample, prompt_file, bundle, resolved, strict)
    write(form, bundle, wanted, device, skipped)


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
