"""The whole of pipelines.toml as one model. Each table's own model stands beside the code it configures."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from charpipe.champions.settings import PromotionConfig
from charpipe.corpus.settings import CorpusConfig
from charpipe.generation.settings import SampleConfig
from charpipe.plugin import Options
from charpipe.retention.settings import RetentionConfig
from charpipe.tracking.settings import TrackingConfig
from charpipe.training.settings import TrainConfig


class PluginsConfig(Options):
    """Where plugins are found that are not installed."""

    paths: tuple[str, ...] = Field(
        ("plugins",), description="folders, beside the project file or absolute, whose modules are plugins"
    )


class PrefectConfig(Options):
    """Which Prefect server runs are told to."""

    api_url: str | None = Field(None, description="an existing server's API; unset: the workspace's own")


class Config(Options):
    """All settings. `corpus` is laid over whichever corpus is chosen; the tables of `architectures`,
    `presets`, `pipelines` and `deployments` are checked when they are used, by what they belong to."""

    corpora: dict[str, CorpusConfig] = Field(default_factory=dict)
    corpus: dict[str, Any] = Field(default_factory=dict)
    plugins: PluginsConfig = PluginsConfig()
    train: TrainConfig = TrainConfig()
    sample: SampleConfig = SampleConfig()
    architectures: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tracking: TrackingConfig = TrackingConfig()
    prefect: PrefectConfig = PrefectConfig()
    promotion: PromotionConfig = PromotionConfig()
    retention: RetentionConfig = RetentionConfig()
    presets: dict[str, dict[str, Any]] = Field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = Field(default_factory=dict)
    deployments: dict[str, dict[str, Any]] = Field(default_factory=dict)


SETTINGS = ("corpus", "train", "sample", "architectures", "tracking", "prefect", "promotion", "retention")
"""The tables that presets, pipelines and `--set` may change."""
