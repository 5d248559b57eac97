"""A check of credentials for a team's servers: which are present, by name. No value is read or shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from charpipe.diagnostics.surroundings import Surroundings
from charpipe.plugins.contracts import Finding

VARIABLES: Mapping[str, tuple[str, ...]] = {
    "S3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN"),
    "Google Cloud Storage": ("GOOGLE_APPLICATION_CREDENTIALS",),
    "Azure": ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_CLIENT_SECRET"),
    "MLflow": ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
    "Prefect": ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"),
    "Ray": ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"),
}
FILES: Mapping[str, str] = {
    "S3": "~/.aws/credentials",
    "Google Cloud Storage": "~/.config/gcloud/application_default_credentials.json",
    "downloads": "~/.netrc",
}
PAIRS = (
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
)
"""Variables of which one is of no use without the other."""


def credentials(surroundings: Surroundings) -> Iterator[Finding]:
    """The variables and files with credentials that are there, and halves of pairs."""
    environ, resolved = surroundings.environ, surroundings.resolved
    found = {service: [name for name in names if environ.get(name)] for service, names in VARIABLES.items()}
    for service, place in FILES.items():
        if Path(place).expanduser().is_file():
            found.setdefault(service, []).append(place)
    named = [f"{service}: {', '.join(there)}" for service, there in found.items() if there]
    if named or surroundings.cluster or resolved is None:
        yield Finding("credentials", "ok", f"present: {'; '.join(named) or 'none'} (values are not read)")
    for one, other in (pair for both in PAIRS for pair in (both, both[::-1])):
        if environ.get(one) and not environ.get(other):
            yield Finding(
                "credentials", "problem", f"{one} is set, but {other} is not", f"type: export {other}=..."
            )
