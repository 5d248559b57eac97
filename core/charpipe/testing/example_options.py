"""Example settings for what is checked: the defaults, and simple values where there is none."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from charpipe.errors import CharpipeError
from charpipe.plugin import Options

CANDIDATES: tuple[Any, ...] = (1, 0.5, "a", [], {}, True)


def example(model: type[Options]) -> Options:
    """Settings that the model accepts. Raises CharpipeError for a setting without a default that accepts no simple
    value."""
    values: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if field.is_required():
            values[name] = _value(model, name, values)
    return model.model_validate(values)


def _value(model: type[Options], name: str, values: dict[str, Any]) -> Any:
    for candidate in CANDIDATES:
        try:
            model.model_validate({**values, name: candidate})
        except ValidationError as error:
            if any(problem["loc"][:1] == (name,) for problem in error.errors()):
                continue
        return candidate
    raise CharpipeError(f"its setting {name!r} has no default, and no example was found; give it a default")
