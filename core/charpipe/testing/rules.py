"""Rules of a contract, and what came of checking them: the rule in words, what was seen instead, and where."""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from charpipe.cells import Cell
from charpipe.errors import CharpipeError
from charpipe.plugins.references import resolve

C = TypeVar("C")
PACKAGE = str(Path(__file__).parents[1])


@dataclass(frozen=True)
class CheckedRule:
    """A rule, what it demands in a sentence, what was seen instead (None where it is kept), and where: a file and a
    line of the plugin, where one is known."""

    rule: str
    demands: str
    seen: str | None = None
    where: str | None = None


def check_rules(
    origin: tuple[str, str], make: Callable[[], C], rules: Iterable[Callable[[C], str | None]], code: Any
) -> Iterator[CheckedRule]:
    """Each rule, checked on the case that `make` makes; `origin` is the rule, and its sentence, that `make` itself
    checks. `code` is where a rule is broken that raises nothing: a class, a function or a reference."""
    try:
        case = make()
    except Exception as error:
        yield CheckedRule(*origin, _seen(error), where(error) or place(code))
        return
    yield CheckedRule(*origin)
    for rule in rules:
        demands = (rule.__doc__ or "").partition("\n")[0]
        try:
            seen, found = rule(case), None
        except Exception as error:
            seen, found = _seen(error), where(error)
        broken = seen is not None
        yield CheckedRule(rule.__name__, demands, seen, (found or place(code)) if broken else None)


def _seen(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, CharpipeError) else f"{type(error).__name__}: {text}"


def where(error: BaseException) -> str | None:
    """The last line of a plugin that an error passed; None if it passed none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_plugin(frame.filename)]
    return f"{_short(frames[-1].filename)}:{frames[-1].lineno}, in {frames[-1].name}" if frames else None


def place(code: Any) -> str | None:
    """Where a class, a function, or what a reference names is defined; of a cell, its step."""
    try:
        found = resolve(code) if isinstance(code, str) else code
        if isinstance(found, type) and issubclass(found, Cell):
            found = found.step
        file, line = inspect.getsourcefile(found), inspect.getsourcelines(found)[1]
    except (CharpipeError, TypeError, OSError):
        return None
    return f"{_short(file)}:{line}, in {found.__qualname__}" if file else None


def _is_plugin(file: str) -> bool:
    libraries = (PACKAGE, sys.base_prefix, sys.prefix, "<")
    return not file.startswith(libraries) and "site-packages" not in file


def _short(file: str) -> str:
    """The path as seen from the working directory, where that is shorter."""
    try:
        return min(os.path.relpath(file), file, key=len)
    except ValueError:
        return file
