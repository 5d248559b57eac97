"""What `charpipe sample` writes: one text as it is generated, or several, with scores, whole documents, or a page."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from charpipe.cli.environment import open_registry
from charpipe.cli.output import for_output, print_json
from charpipe.cli.sample_page import write_on_page
from charpipe.cli.sample_results import print_beam, print_documents, print_prompted, print_scored, print_texts
from charpipe.config.settings.sampling import SampleConfig
from charpipe.errors import UsageError
from charpipe.generation.prompts import file_name, read_prompts
from charpipe.plugin import end_token
from charpipe.text.coverage import fit

FRAME = 0.04
"""Seconds between two updates of the screen."""


@dataclass(frozen=True)
class Form:
    """In which form the model writes, beside the settings of `[sample]`: see the options of these names."""

    count: int = 1
    documents: int | None = None
    beam: int | None = None
    logprobs: bool = False
    prompts_file: str | None = None
    web: bool = False
    port: int | None = None
    held: Mapping[str, float] = field(default_factory=dict)
    json: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether one text is written as it is generated, which needs no PyTorch."""
        several = self.count > 1 or self.documents or self.beam or self.prompts_file
        return not (several or self.logprobs or self.web or self.held)


def write(form: Form, bundle: Any, wanted: SampleConfig, device: str, skipped: Mapping[str, Any]) -> None:
    """Let a model write and print it; `skipped` is what the JSON says of a prompt's characters that were left out."""
    if form.documents is not None:
        from charpipe.generation.documents import check_ends

        check_ends(bundle.encoding)
    if form.held and wanted.precision == "int8":
        raise UsageError("--clamp needs the units in float32; leave out --precision int8")
    if form.is_plain:
        _write_text(form, bundle, wanted, device, skipped)
    else:
        _write_by_predictor(form, bundle.load(), wanted, device, skipped)


def _write_text(
    form: Form, bundle: Any, wanted: SampleConfig, device: str, skipped: Mapping[str, Any]
) -> None:
    from charpipe.generation.opening import open_writer
    from charpipe.generation.sampling import generate
    from charpipe.generation.state import Position

    writer, position = open_writer(bundle, wanted, device), Position()
    decoders = open_registry().all("decoder")
    pieces = generate(writer, bundle.encoding, wanted, decoders=decoders, position=position)
    if form.json:
        text = wanted.prompt + "".join(pieces)
        ended = {} if end_token(bundle.encoding) is None else {"ended": position.ended}
        print_json({"run": bundle.name, "prompt": wanted.prompt, "text": text, **ended, **skipped})
        return
    sys.stdout.write(for_output(wanted.prompt))
    _stream(pieces)
    sys.stdout.write("\n")


def _write_by_predictor(
    form: Form, loaded: Any, wanted: SampleConfig, device: str, skipped: Mapping[str, Any]
) -> None:
    from charpipe.generation import (
        beam_search,
        generate_scored,
        sample_documents,
        sample_many,
        sample_prompts,
    )
    from charpipe.models.held_units import hold

    name, encoding, decoders = loaded.name, loaded.encoding, open_registry().all("decoder")
    predictor = hold(loaded.predictor(device), form.held)
    if form.web:
        from charpipe.playground import Playground

        page = Playground(name, loaded.model.title, predictor, encoding, wanted, decoders)
        write_on_page(page, form.port)
        return
    prompts = [wanted.prompt] if form.prompts_file is None else _prompts(form.prompts_file, encoding)
    each = [wanted.model_copy(update={"prompt": one}) for one in prompts for _ in range(form.count)]
    given = [one.prompt for one in each]
    if form.documents is not None:
        whole = sample_documents(predictor, encoding, form.documents, wanted, decoders)
        print_documents(name, wanted, whole, form.json, skipped)
    elif form.beam is not None:
        for one in each:
            results = beam_search(predictor, encoding, form.beam, one, decoders)
            print_beam(name, one.prompt, results, form.json, skipped)
    elif form.logprobs:
        scored = (generate_scored(predictor, encoding, one, decoders, n) for n, one in enumerate(each))
        print_scored(name, given, scored, form.json, skipped)
    elif form.prompts_file is not None:
        print_prompted(name, given, sample_prompts(predictor, encoding, given, wanted, decoders), form.json)
    else:
        many = sample_many(predictor, encoding, form.count, wanted, decoders)
        print_texts(name, wanted.prompt, many, form.json, skipped)


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
