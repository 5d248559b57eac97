"""What `charpipe sample` prints of several texts, of their scores, and of beam search."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from charpipe.cli.output import for_output, print_json, visible
from charpipe.config.settings.sampling import SampleConfig

FACES = {"\n": "⏎", "\t": "⇥", " ": "␣"}


def print_texts(run: str, prompt: str, texts: Sequence[str], json: bool, skipped: Mapping[str, Any]) -> None:
    """Several texts after one prompt."""
    if json:
        print_json({"run": run, "prompt": prompt, "texts": texts, **skipped})
        return
    for number, text in enumerate(texts, 1):
        _print_text(f"{number} of {len(texts)}", text)


def print_documents(
    run: str, wanted: SampleConfig, documents: Sequence[Any], json: bool, skipped: Mapping[str, Any]
) -> None:
    """Whole documents, each under a line with its number, which says as well what ended one before the model did."""
    if json:
        found = [document.to_json() for document in documents]
        print_json({"run": run, "prompt": wanted.prompt, "documents": found, **skipped})
        return
    how = {
        "model": "",
        "stop": ", ended by a stop text (--stop)",
        "constraint": ", ended at a complete match",
        "length": f", cut at {wanted.length:,} tokens (--length)",
    }
    for number, document in enumerate(documents, 1):
        _print_text(f"{number} of {len(documents)}{how[document.ended_by]}", document.text.removesuffix("\n"))


def print_prompted(run: str, prompts: Sequence[str], texts: Iterable[str], json: bool) -> None:
    """The texts after the prompts of a file, in order: one JSON object each, or under a line with its number."""
    for number, (prompt, text) in enumerate(zip(prompts, texts, strict=True), 1):
        if json:
            print_json({"run": run, "prompt": prompt, "text": text})
        else:
            _print_text(f"{number} of {len(prompts)}", text)
        sys.stdout.flush()


def print_scored(
    run: str,
    prompts: Sequence[str],
    scored: Iterable[Iterable[Any]],
    json: bool,
    skipped: Mapping[str, Any],
) -> None:
    """Each character of each text with its log probability, as it is generated."""
    for number, (prompt, pieces) in enumerate(zip(prompts, scored, strict=True), 1):
        if json:
            print_json({"run": run, "prompt": prompt, **_scores_json(prompt, list(pieces)), **skipped})
            continue
        if len(prompts) > 1:
            typer.echo(f"--- {number} of {len(prompts)}")
        _print_pieces(pieces)


def print_beam(run: str, prompt: str, results: Sequence[Any], json: bool, skipped: Mapping[str, Any]) -> None:
    """The texts that beam search found, with their scores."""
    if json:
        listed = [
            {
                "text": prompt + one.text,
                "log_probability": one.log_probability,
                "per_character": one.per_character,
                "ended": one.ended,
            }
            for one in results
        ]
        print_json({"run": run, "prompt": prompt, "results": listed, **skipped})
        return
    for number, one in enumerate(results, 1):
        score = f"{one.log_probability:.3f} nats, {one.per_character:.3f} per character"
        _print_text(f"{number} of {len(results)}: {score}", prompt + one.text)


def _print_text(title: str, text: str) -> None:
    sys.stdout.write(f"--- {title}\n{for_output(text)}\n")


def _print_pieces(pieces: Iterable[Any]) -> None:
    total, count = 0.0, 0
    for piece in pieces:
        known = piece.log_probability is not None
        score = f"{piece.log_probability:9.4f}" if known else f"{'-':>9}"
        typer.echo(f"{score}  {_face(piece.text)}")
        total, count = total + (piece.log_probability or 0.0), count + known * len(piece.text)
    each = f", {total / count:.4f} per character" if count else ""
    typer.echo(f"{total:9.4f}  nats in all{each}")


def _face(text: str) -> str:
    try:
        "⏎␣".encode(sys.stdout.encoding or "ascii")
    except (UnicodeError, LookupError):
        return ascii(text)[1:-1] if text != " " else "' '"
    return visible("".join(FACES.get(character, character) for character in text), sys.stdout.encoding)


def _scores_json(prompt: str, pieces: Sequence[Any]) -> dict[str, Any]:
    known = [piece.log_probability for piece in pieces if piece.log_probability is not None]
    return {
        "text": prompt + "".join(piece.text for piece in pieces),
        "log_probability": sum(known),
        "characters": [
            {"character": piece.text, "log_probability": piece.log_probability} for piece in pieces
        ],
    }
