"""Prompts from a file: one a line, or JSON lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from charpipe.errors import UsageError

STANDARD_INPUT = "-"
JSON_LINES = (".jsonl", ".ndjson")


def read_prompts(path: str) -> list[str]:
    """The prompts of a file, or of standard input (`-`), in order.

    Each line is a prompt, without its line end; in a file `.jsonl` or `.ndjson` each line is a JSON string or an object
    with a string `prompt`, which may have line breaks. Empty lines at the end are ignored. Raises UsageError for a file
    that cannot be read, is not UTF-8, or has no prompts, and for an empty or invalid line, which it names by number.
    """
    shown = file_name(path)
    lines = _text(path, shown).replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip("\r"):
        lines.pop()
    if not lines:
        raise UsageError(f"the prompts file {shown} is empty; write one prompt a line")
    as_json = Path(path).suffix.lower() in JSON_LINES
    prompts = []
    for number, line in enumerate(lines, 1):
        prompt = _from_json(line, shown, number) if as_json else line
        if not prompt:
            raise UsageError(
                f"{shown}, line {number}: the prompt is empty; a prompt has at least one character"
            )
        prompts.append(prompt)
    return prompts


def file_name(path: str) -> str:
    """What messages call the file."""
    return "standard input" if path == STANDARD_INPUT else path


def _text(path: str, shown: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"there is no prompts file {shown}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the prompts file {shown} is not UTF-8 (byte {error.start:,}); save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"the prompts file {shown} cannot be read: {reason}") from error


def _from_json(line: str, path: str, number: int) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}, line {number}: this is not JSON: {error}") from error
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str):
        raise UsageError(f'{path}, line {number}: give a JSON string, or an object with a string "prompt"')
    return prompt
