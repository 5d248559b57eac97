"""Resolves the architecture that a command names: its plugin and its settings."""

from __future__ import annotations

from charpipe.config.validation import validate
from charpipe.plugin import ModelConfig
from charpipe.plugins.registry import Provided
from charpipe.stages.context import Context


def architecture(context: Context, name: str) -> tuple[Provided, ModelConfig]:
    """An architecture and its settings. Raises UsageError for an unknown architecture or an invalid setting."""
    provided = context.registry.find("architecture", name)
    given = context.config.architectures.get(name, {})
    return provided, validate(provided.spec.config, given, f"architectures.{name}", context.resolved.origins)
