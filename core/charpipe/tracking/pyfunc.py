"""charpipe's model for MLflow's own serving: it writes on from a `prompt`, and scores a `text`, on the CPU.

MLflow keeps this file beside the model and runs it (models from code); it needs charpipe installed, and the plugin
of the model's architecture. charpipe itself reads the bundle and never runs anything that lies beside a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from charpipe.config.settings.sampling import SampleConfig
from charpipe.evaluation import score_text
from charpipe.generation import sample
from charpipe.models.loaded import load_bundle
from charpipe.plugins.registry import Registry

COLUMNS = ["text", "nats", "bits_per_char"]
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec(DataType.string, "prompt", required=False),
            ColSpec(DataType.string, "text", required=False),
        ]
    ),
    outputs=Schema(
        [ColSpec(DataType.string, "text")]
        + [ColSpec(DataType.double, name, required=False) for name in COLUMNS[1:]]
    ),
    params=ParamSchema(
        [
            ParamSpec("length", DataType.long, 200),
            ParamSpec("temperature", DataType.double, 1.0),
            ParamSpec("top_k", DataType.long, 0),
            ParamSpec("top_p", DataType.double, 1.0),
            ParamSpec("seed", DataType.long, 1),
        ]
    ),
)


class CharpipeModel(PythonModel):  # type: ignore[misc]
    """A row with a `text` is scored: nats per token and bits per character. Any other is written on from its
    `prompt`, which may be missing. `params`: length (tokens), temperature, top_k (0: all), top_p, seed."""

    def load_context(self, context: Any) -> None:
        self._registry = Registry()
        self._loaded = load_bundle("champion", Path(context.artifacts["bundle"]), self._registry)
        self._predictor = self._loaded.predictor("cpu")

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        rows = [self._row(row, dict(params or {})) for row in model_input.to_dict("records")]
        return pd.DataFrame(rows, columns=COLUMNS)

    def _row(self, row: Mapping[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        if isinstance(row.get("text"), str):
            scores = score_text(self._predictor, self._loaded.encoding, row["text"])
            return {"text": row["text"], "nats": scores.nats, "bits_per_char": scores.bits_per_char}
        prompt = row.get("prompt")
        params["top_k"] = params.get("top_k") or None
        settings = SampleConfig(prompt=prompt if isinstance(prompt, str) else "", **params)
        written = sample(self._predictor, self._loaded.encoding, settings, self._registry.all("decoder"))
        return {"text": written, "nats": None, "bits_per_char": None}


if __name__ != "charpipe.tracking.pyfunc":  # run by MLflow from beside a model, and not imported
    mlflow.models.set_model(CharpipeModel())
