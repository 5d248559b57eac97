"""The default of a setting, for the help of a flag that stands for it."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel


def spelled(value: Any) -> str:
    """A value as pipelines.toml spells it; "(unset)" where there is none."""
    return "(unset)" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def with_default(text: str, settings: type[BaseModel], name: str, unset: str = "none") -> str:
    """`text`, and what holds where the flag is not given: the default of the setting `name`, or the words `unset`."""
    value = settings.model_fields[name].default
    shown = unset if value is None or value == "" else value if isinstance(value, str) else spelled(value)
    return f"{text}  [default: {shown}]"
