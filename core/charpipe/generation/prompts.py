"""Prompts from a file: one a line, or JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

from charpipe.errors import UsageError

JSON_LINES = (".jsonl", ".ndjson")


def read_prompts(path: str) -> list[str]:
    """The prompts of a file, in order.

    Each line is a prompt, without its line end; in a file `.jsonl` or `.ndjson` each line is a JSON string or an object
    with a string `prompt`, which may have line breaks. Empty lines at the end are ignored. Raises UsageError for a file
    that cannot be read, is not UTF-8, or has no prompts, and for an empty or invalid line, which it names by number.
    """
    name = Path(path)
    lines = _text(name).replace("\r\n", "\n").split("\n")
    while lines and not lines[-1].strip("\r"):
        lines.pop()
    if not lines:
        raise UsageError(f"the prompts file {path} is empty; write one prompt a line")
    as_json = name.suffix.lower() in JSON_LINES
    prompts = []
    for number, line in enumerate(lines, 1):
        prompt = _from_json(line, path, number) if as_json else line
        if not prompt:
            raise UsageError(
                f"{path}, line {number}: the prompt is empty; a prompt has at least one character"
            )
        prompts.append(prompt)
    return prompts


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"there is no prompts file {path}") from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the prompts file {path} is not UTF-8 (byte {error.start:,}); save it as UTF-8"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"the prompts file {path} cannot be read: {reason}") from error


def _from_json(line: str, path: str, number: int) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}, line {number}: this is not JSON: {error}") from error
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str):
        raise UsageError(f'{path}, line {number}: give a JSON string, or an object with a string "prompt"')
    return prompt
