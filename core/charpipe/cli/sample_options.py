"""The options of `charpipe sample` that exclude each other, and those that are more than a text or a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from charpipe.errors import UsageError

NOT_WITH_BEAM = (
    "--temperature", "--top-k", "--top-p", "--min-p", "--greedy", "--seed", "--count", "--logprobs",
    "--precision", "--engine",
)  # fmt: skip
NOT_WITH_WEB = ("--beam", "--count", "--logprobs", "--prompts-file", "--json", "--documents")
NOT_WITH_DOCUMENTS = ("--count", "--beam", "--logprobs", "--prompts-file")
EMPTY_STOP = "--stop: the text is empty, and nothing could be written before it; give at least one character"


def check_beam(beam: int | None, given: Mapping[str, bool]) -> None:
    """Raise UsageError for an option that beam search does not use; `given` says which were given."""
    if beam is None:
        return
    if beam < 1:
        raise UsageError(f"a beam of {beam} has no room for a text; give --beam 1 or more")
    for name in NOT_WITH_BEAM:
        if given.get(name):
            raise UsageError(
                f"--beam finds the most probable texts and draws none, so {name} has no meaning with it; leave one out"
            )


def check_web(web: bool, port: int | None, given: Mapping[str, bool]) -> None:
    """Raise UsageError for an option that the page does not use, and for a port without it."""
    if not web:
        if port is not None:
            raise UsageError("--port is the port of --web; give --web too")
        return
    for name in NOT_WITH_WEB:
        if given.get(name):
            raise UsageError(
                f"--web shows one text at a time on its page, without {name}; leave one of them out"
            )


def check_documents(documents: int | None, given: Mapping[str, bool]) -> None:
    """Raise UsageError for an option that whole documents are not written with."""
    for name in NOT_WITH_DOCUMENTS:
        if documents is not None and given.get(name):
            raise UsageError(f"--documents and {name} exclude each other; give one of them")


def check_regex(pattern: str | None) -> None:
    """Raise UsageError for an empty expression, which only the empty text matches."""
    if pattern == "":
        raise UsageError(
            "--regex is empty, which only an empty text matches; give an expression such as [A-Z][a-z]+"
        )


def stop_texts(texts: Sequence[str]) -> str | list[str] | None:
    """The texts to stop at as a setting. Raises UsageError for an empty one."""
    if not all(texts):
        raise UsageError(EMPTY_STOP)
    return texts[0] if len(texts) == 1 else list(texts) or None


def clamps(texts: Sequence[str]) -> dict[str, float]:
    """`layer.unit=value` as units with their values. Raises UsageError for what is not of this form."""
    found: dict[str, float] = {}
    for text in texts:
        unit, sign, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            sign = ""
        if not sign or not unit:
            raise UsageError(f"--clamp {text!r} is not of the form layer.unit=value, such as 0.317=1.5")
        if unit in found:
            raise UsageError(f"--clamp holds the unit {unit} at two values; give one of them")
        found[unit] = number
    return found


def given_options(**values: Any) -> dict[str, bool]:
    """Which options were given, by their names on the command line: those that are neither None nor False."""
    return {
        "--" + name.replace("_", "-"): value is not None and value is not False
        for name, value in values.items()
    }
