"""What a user can set about the shared store; read without importing a storage library."""

from __future__ import annotations

from pydantic import Field, field_validator

from charpipe.config.settings.training import parse_budget
from charpipe.errors import UsageError
from charpipe.plugin import Options
from charpipe.store.secrets import SecretInUrlError, find_secret, without_secret

MIN_LEASE, MAX_LEASE = 1.0, 3600.0


class StoreConfig(Options):
    """The `[store]` table."""

    url: str | None = Field(
        None,
        description="the store that machines share: s3://BUCKET/FOLDER, gs://, az:// or file:///FOLDER; unset: this "
        "workspace alone",
    )
    endpoint: str | None = Field(None, description="URL of an S3 server that is not Amazon's")
    lease: str = Field(
        "30s",
        description="time after which work of a machine that does not answer any more is free for others",
    )

    @property
    def lease_seconds(self) -> float:
        """The length of a lease in seconds."""
        return parse_budget(self.lease)

    @field_validator("url", "endpoint")
    @classmethod
    def _hold_no_secret(cls, url: str | None) -> str | None:
        if url is not None and (found := find_secret(url)) is not None:
            raise SecretInUrlError(
                f"{without_secret(url)} holds {found}, and settings are written down; give credentials in the "
                "environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, or "
                "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
            )
        return url or None

    @field_validator("lease")
    @classmethod
    def _lease_is_a_duration(cls, value: str) -> str:
        try:
            seconds = parse_budget(value)
        except UsageError as error:
            raise ValueError(str(error)) from None
        if not MIN_LEASE <= seconds <= MAX_LEASE:
            raise ValueError("a lease lasts at least 1s and at most 1h")
        return value
