"""The user's MLFLOW_ variables: what names a server and logs in there is kept, everything else has no effect."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from charpipe.tracking.client import HONOURED, quiet_environment
from charpipe_pipelines import isolation

DOCUMENT = Path(__file__).parents[3] / "docs" / "environment.md"


def test_other_mlflow_variables_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):  # all is restored afterwards
        monkeypatch.setenv(name, os.environ[name])
    for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID", "MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.setenv(name, "theirs")
    for name in ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "no such value")
    quiet_environment()
    left = {name for name, value in os.environ.items() if value in ("theirs", "no such value")}
    assert left == {"MLFLOW_TRACKING_TOKEN"}


def test_document_lists_the_variables_that_are_honoured() -> None:
    listed = set(re.findall(r"`((?:MLFLOW|PREFECT)_[A-Z0-9_]+)`", DOCUMENT.read_text(encoding="utf-8")))
    assert listed == {*HONOURED, *isolation.HONOURED}
