"""The settings that a sweep can vary: those of training, and those of its architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from charpipe.comparison.configurations import with_settings
from charpipe.config.settings.training import TrainConfig
from charpipe.config.validation import validate
from charpipe.errors import UsageError
from charpipe.stages import Context

LENGTH = frozenset({"steps", "budget", "max_epochs", "patience"})
RUNNING = frozenset(
    {
        "evaluate_every",
        "sample_every",
        "checkpoint_every",
        "keep_checkpoints",
        "device",
        "engine",
        "deterministic",
    }
)
KINDS: Mapping[type, str] = {int: "int", float: "float", bool: "bool", str: "text"}


@dataclass(frozen=True)
class Setting:
    """A setting by its dotted key; `kind` is "int", "float", "bool", "text" or "choice". `obstacle`: why it cannot be
    varied, if it cannot."""

    key: str
    kind: str
    choices: tuple[str, ...] = ()
    obstacle: str = ""


def settings_of(context: Context, arch: str) -> dict[str, Setting]:
    """Every setting of training and of an architecture. Raises UsageError for an unknown architecture."""
    model = context.registry.find("architecture", arch).spec.config
    tables = {"train": TrainConfig.model_fields, f"architectures.{arch}": model.model_fields}
    found = [
        _setting(table, name, field) for table, fields in tables.items() for name, field in fields.items()
    ]
    return {setting.key: setting for setting in found}


def checked_value(context: Context, arch: str, key: str, value: Any) -> Any:
    """The value that a setting gets, alone on top of the others; raises UsageError if it is not accepted."""
    config = with_settings(context.config, {key: value})
    table, _, name = key.rpartition(".")
    if table == "train":
        return getattr(config.train, name)
    model = context.registry.find("architecture", arch).spec.config
    return getattr(validate(model, config.architectures[arch], table, {key: "--space"}), name)


def check_not_set(context: Context, keys: tuple[str, ...]) -> None:
    """Raise UsageError if the command also fixes one of these settings, by a preset, a flag or `--set`."""
    for key in keys:
        origin = context.resolved.origins.get(key, "")
        if origin in ("--set", "flag") or origin.startswith("preset "):
            where = "a flag" if origin == "flag" else origin
            raise UsageError(f"--space varies {key}, and {where} sets it; leave one of them out")


def _setting(table: str, name: str, field: FieldInfo) -> Setting:
    key = f"{table}.{name}"
    kind, choices = _kind(field.annotation)
    if table == "train" and name in LENGTH:
        return Setting(key, kind, choices, "all trials train for the same length: --steps or --budget")
    if table == "train" and name in RUNNING:
        return Setting(key, kind, choices, "it does not change what a model learns; type --set")
    return Setting(key, kind, choices, "" if kind else "it is neither a number, a word nor true or false")


def _kind(annotation: Any) -> tuple[str, tuple[str, ...]]:
    """The kind of a setting, and its choices if there are few; empty for one that has none of the kinds."""
    if get_origin(annotation) is Literal:
        return "choice", tuple(map(str, get_args(annotation)))
    if get_origin(annotation) in (Union, UnionType):
        parts = [part for part in get_args(annotation) if part is not NoneType]
        return _kind(parts[0]) if len(parts) == 1 else ("", ())
    return KINDS.get(annotation, ""), ()
