"""The messages between a process and the worker processes that it started: one line of JSON each."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Mapping
from typing import Any

from charpipe import errors
from charpipe.parallel.mapping import Function


def name_of(function: Function) -> str:
    """`module:function`."""
    return f"{function.__module__}:{function.__qualname__}"


def function_named(name: str) -> Function:
    """The function that `name_of` named."""
    module, _, attribute = name.partition(":")
    function: Function = getattr(importlib.import_module(module), attribute)
    return function


def error_message(error: BaseException) -> dict[str, Any]:
    """An exception as JSON."""
    known = next((kind.__name__ for kind in type(error).__mro__ if _is_own(kind)), None)
    message: dict[str, Any] = {"error": known, "text": str(error), "traceback": traceback.format_exc()}
    if isinstance(error, OSError) and known is None:
        message |= {"errno": error.errno, "text": error.strerror or str(error), "file": error.filename}
    elif known is None:
        message["text"] = f"{type(error).__name__}: {error}"
    return message


def exception(message: Mapping[str, Any]) -> BaseException:
    """The exception of `error_message`, of the same class where that is one of charpipe's; with the traceback as a
    note."""
    if message.get("errno") is not None:
        error: BaseException = OSError(message["errno"], message["text"], message["file"])
    else:
        kind = getattr(errors, message["error"] or "CharpipeError")
        error = kind(message["text"])
    error.add_note(f"in a worker process:\n{message['traceback']}")
    return error


def _is_own(kind: type) -> bool:
    return getattr(errors, kind.__name__, None) is kind and issubclass(kind, errors.CharpipeError)
