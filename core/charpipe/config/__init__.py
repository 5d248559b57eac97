"""Configuration: resolves pipelines.toml, presets and flags to typed settings with the origin of each value."""

from charpipe.config.corpora import resolve_corpus
from charpipe.config.load import Resolved, load_config
from charpipe.config.schema import Config
from charpipe.config.settings.training import parse_budget

__all__ = ["Config", "Resolved", "load_config", "parse_budget", "resolve_corpus"]
