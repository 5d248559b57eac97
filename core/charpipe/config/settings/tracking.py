"""What a user can set about tracking; read without importing MLflow."""

from __future__ import annotations

from pydantic import Field, field_validator

from charpipe.config.names import parse_tags
from charpipe.errors import UsageError
from charpipe.plugin import Options
from charpipe.store.secrets import SecretInUrlError, find_secret, without_secret


class TrackingConfig(Options):
    """The `[tracking]` table."""

    enabled: bool = Field(True, description="log runs to MLflow; metrics.jsonl is written either way")
    uri: str | None = Field(
        None,
        description="MLflow tracking URI; unset: MLFLOW_TRACKING_URI, else SQLite in the workspace",
    )
    experiment: str | None = Field(
        None, description="MLflow experiment for all corpora; unset: one for each corpus"
    )
    artifacts: str | None = Field(
        None,
        description="artifact location of new experiments (a URI), if `uri` is a database rather than a server",
    )
    tags: tuple[str, ...] = Field(
        (), description="tags of new runs, WORD or KEY=VALUE; see `charpipe runs tag`"
    )
    interval: float = Field(
        2.0, gt=0, le=600, allow_inf_nan=False, description="seconds between two uploads of metrics"
    )
    patience: float = Field(
        30.0,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="seconds to wait for a slow or unavailable MLflow at the end of a run",
    )

    @field_validator("tags")
    @classmethod
    def _are_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        try:
            parse_tags(tags)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return tags

    @field_validator("uri", "artifacts")
    @classmethod
    def _hold_no_secret(cls, uri: str | None) -> str | None:
        if uri is not None and (found := find_secret(uri)) is not None:
            raise SecretInUrlError(
                f"{without_secret(uri)} holds {found}, and settings are written down; give it in the environment: "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, MLFLOW_TRACKING_TOKEN, or the whole URI "
                "in MLFLOW_TRACKING_URI"
            )
        return uri
