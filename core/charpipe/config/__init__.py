"""pipelines.toml, presets and flags become typed settings that know where each value came from."""

from charpipe.config.corpora import resolve_corpus
from charpipe.config.load import Resolved, load_config
from charpipe.config.schema import Config

__all__ = ["Config", "Resolved", "load_config", "resolve_corpus"]
