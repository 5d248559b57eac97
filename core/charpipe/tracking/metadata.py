"""Convert a run's `run.json` to MLflow's terms: params, tags, dataset lineage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from charpipe.runs import RunInfo

PARAM_TABLES = ("corpus", "train", "sample")
COUNTED_TABLES = ("corpus", "sample")
"""The only setting tables that apply to a count-based model, which has no learning rate and the like."""
VALUE_LIMIT = 6000
DIGEST_LIMIT = 36
NAME_LIMIT = 480
RUN_TAG, CORPUS_TAG = "charpipe.run", "charpipe.corpus"
CONTEXTS = {"train": "training", "val": "validation", "test": "test"}


def params(info: RunInfo) -> dict[str, str]:
    """The resolved settings that affect the model, by dotted name; the architecture's under `model.`."""
    tables = PARAM_TABLES if info.is_trained_by_steps else COUNTED_TABLES
    chosen = {key: value for key, value in info.settings.items() if key.split(".")[0] in tables}
    chosen |= {f"model.{key}": value for key, value in info.architecture_config.items()}
    chosen |= {
        "corpus": info.corpus,
        "arch": info.architecture,
        "model.vocabulary_size": info.vocabulary_size,
    }
    return {key: _text(value) for key, value in sorted(chosen.items()) if value is not None}


def tags(info: RunInfo) -> dict[str, str]:
    """The run's name, its corpus, and the digests and versions of its inputs."""
    made = {
        RUN_TAG: info.name,
        CORPUS_TAG: info.corpus,
        "charpipe.arch": info.architecture,
        "charpipe.action": info.action,
        "mlflow.source.name": "charpipe",
        "mlflow.source.type": "LOCAL",
    }
    made |= {f"charpipe.{name}": digest for name, digest in info.inputs.items()}
    for name, plugin in info.plugins.items():
        made[f"charpipe.plugin.{name}"] = f"{plugin.module} {plugin.version} {plugin.digest}"
    made |= {f"charpipe.version.{name}": version for name, version in info.versions.items()}
    if info.parent:
        made["charpipe.parent"] = info.parent
    return {key: _text(value) for key, value in made.items()}


def datasets(info: RunInfo) -> Iterator[tuple[str, dict[str, str]]]:
    """For each split: its context, and the fields of MLflow's `Dataset`."""
    digest = info.inputs.get("tokens", "")[: DIGEST_LIMIT - 4]
    source = json.dumps({"corpus": info.corpus, **info.inputs, **info.paths}, sort_keys=True)
    for split, count in _tokens(info.facts).items():
        if count:
            profile = json.dumps({"tokens": count, "vocabulary_size": info.vocabulary_size})
            name = f"{info.corpus[:NAME_LIMIT]} {split}"
            fields = {"name": name, "digest": digest, "source_type": "charpipe", "source": source}
            yield CONTEXTS[split], fields | {"profile": profile}


def _tokens(facts: dict[str, Any]) -> dict[str, int]:
    """The number of tokens per split, if `run.json` records it; otherwise only the training split is certain."""
    for candidate in (facts.get("tokens"), facts):
        while isinstance(candidate, dict):
            if any(isinstance(candidate.get(split), int) for split in CONTEXTS):
                return {split: int(candidate.get(split) or 0) for split in CONTEXTS}
            candidate = candidate.get("tokens")
    return {"train": 1}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_LIMIT else text[: VALUE_LIMIT - 1] + "…"
