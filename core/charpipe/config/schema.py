"""The pydantic model of pipelines.toml. Most tables have their own models in `charpipe.config.settings`."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from charpipe.config.settings.cluster import ClusterConfig
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.config.settings.promotion import PromotionConfig
from charpipe.config.settings.retention import RetentionConfig
from charpipe.config.settings.sampling import SampleConfig
from charpipe.config.settings.store import StoreConfig
from charpipe.config.settings.tracking import TrackingConfig
from charpipe.config.settings.training import TrainConfig
from charpipe.plugin import Options
from charpipe.store.secrets import SecretInUrlError, find_secret, without_secret


class PluginsConfig(Options):
    """Where to find plugins that are not installed."""

    paths: tuple[str, ...] = Field(
        ("plugins",), description="folders, beside the project file or absolute, whose modules are plugins"
    )
    beside: str | None = Field(
        None, description="the architecture whose speed `charpipe plugins check` compares with"
    )


class PrefectConfig(Options):
    """Which Prefect server runs are reported to."""

    api_url: str | None = Field(None, description="an existing server's API; unset: the workspace's own")

    @field_validator("api_url")
    @classmethod
    def _hold_no_secret(cls, url: str | None) -> str | None:
        if url is not None and (found := find_secret(url)) is not None:
            raise SecretInUrlError(
                f"{without_secret(url)} holds {found}, and settings are written down; give PREFECT_API_AUTH_STRING or "
                "PREFECT_API_KEY in the environment"
            )
        return url


class Config(Options):
    """All settings. `corpus` overrides the settings of the selected corpus.

    The tables of `architectures`, `presets`, `pipelines` and `deployments` are validated when they are used.
    """

    corpora: dict[str, CorpusConfig] = Field(default_factory=dict)
    corpus: dict[str, Any] = Field(default_factory=dict)
    plugins: PluginsConfig = PluginsConfig()
    train: TrainConfig = TrainConfig()
    sample: SampleConfig = SampleConfig()
    architectures: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tracking: TrackingConfig = TrackingConfig()
    prefect: PrefectConfig = PrefectConfig()
    store: StoreConfig = StoreConfig()
    cluster: ClusterConfig = ClusterConfig()
    promotion: PromotionConfig = PromotionConfig()
    retention: RetentionConfig = RetentionConfig()
    presets: dict[str, dict[str, Any]] = Field(default_factory=dict)
    pipelines: dict[str, dict[str, Any]] = Field(default_factory=dict)
    deployments: dict[str, dict[str, Any]] = Field(default_factory=dict)


SETTINGS = (
    "corpus",
    "train",
    "sample",
    "architectures",
    "tracking",
    "prefect",
    "store",
    "cluster",
    "promotion",
    "retention",
)
"""The tables that presets, pipelines and `--set` may change."""
