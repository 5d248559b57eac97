"""Validate settings; an error is one sentence with the full key, what was expected, and a near match."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from charpipe.errors import UsageError, near_match
from charpipe.store.secrets import SecretInUrlError, redact

SAMPLE_FLAGS = (
    "length",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "greedy",
    "stop",
    "prompt",
    "precision",
    "engine",
    "seed",
)
FLAGS = (
    {f"train.{name}": f"--{name}" for name in ("steps", "budget", "device", "engine", "deterministic")}
    | {"tracking.tags": "--tag"}
    | {f"sample.{name}": f"--{name.replace('_', '-')}" for name in SAMPLE_FLAGS}
)
"""Settings that have their own command-line option, and the name that messages give it."""


def explain(
    error: ValidationError,
    model: type[BaseModel],
    prefix: str,
    origins: Mapping[str, str],
    flags: Mapping[str, str] | None = None,
) -> UsageError:
    """The first problem of `error` as a UsageError.

    `prefix`: the dotted path of the table that `model` validates. `flags`: the command-line options of settings.
    """
    problems = error.errors()
    unknown = [problem for problem in problems if problem["type"] == "extra_forbidden"]
    problem = (unknown or problems)[0]
    path = [str(part) for part in problem["loc"]]
    key = ".".join([prefix, *path] if prefix else path)
    where = origins.get(key, "")
    if where == "flag":
        key, where = (flags or {}).get(key, key), ""
    source = f"{where}: " if where and where != "default" else ""
    if problem["type"] == "extra_forbidden":
        known = _fields(model, path[:-1])
        return UsageError(f"{source}{key} is not a setting{near_match(path[-1], known)}")
    message = problem["msg"].removeprefix("Value error, ")
    secret = isinstance(problem.get("ctx", {}).get("error"), SecretInUrlError)
    given = (
        ""
        if secret or isinstance(problem["input"], Mapping)
        else f" (it is {redact(_shown(problem['input']))})"
    )
    return UsageError(f"{source}{key or 'settings'}: {message[:1].lower()}{message[1:]}{given}")


def _shown(value: object) -> str:
    """A value formatted as in pipelines.toml and JSON; strings are quoted."""
    return repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


M = TypeVar("M", bound=BaseModel)


def validate(
    model: type[M],
    values: Mapping[str, Any],
    prefix: str = "",
    origins: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> M:
    """Validate `values` as a `model`. Raises UsageError; see `explain` for the other arguments."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise explain(error, model, prefix, origins or {}, flags) from None  # it repeats the input


def _fields(model: type[BaseModel], path: Iterable[str]) -> list[str]:
    current: Any = model
    for part in path:
        annotation = (
            current.model_fields[part].annotation if part in getattr(current, "model_fields", {}) else current
        )
        arguments = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type)]
        models = [a for a in (annotation, *arguments) if isinstance(a, type) and issubclass(a, BaseModel)]
        if models:
            current = models[0]
    return list(getattr(current, "model_fields", {}))
