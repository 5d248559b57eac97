"""Warm start: training that starts from the checkpoint of another run or of a champion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from charpipe.errors import RunError, StoreError
from charpipe.models.growth import fixed_width
from charpipe.models.header import read_header
from charpipe.models.model import build_network
from charpipe.plugin import Architecture, ModelConfig
from charpipe.runs import Run
from charpipe.stages.architectures import architecture
from charpipe.stages.context import Context
from charpipe.stages.stage import stage
from charpipe.store.manifest import read_manifest
from charpipe.training.warm_start import WarmStartCheckpoint


@dataclass(frozen=True)
class WarmStart:
    """The run to start from; the `path` (relative to the workspace) and content digest of its checkpoint; the number
    of steps of data read before (`offset`)."""

    run: str
    path: str
    checkpoint: str
    offset: int

    def to_json(self) -> dict[str, Any]:
        """As stored with a run."""
        return asdict(self)

    def at_least(self, steps: int) -> WarmStart:
        """The same, with an offset of at least this many steps."""
        return replace(self, offset=max(self.offset, steps))


@stage("start", "Find the model to start from.")
def find_warm_start(context: Context, wanted: str | None) -> WarmStart | None:
    """The best checkpoint of the run `wanted`, or the kept model of `champion:CORPUS`; a resumed run keeps
    its own warm start. Raises UsageError if there is no such run, RunError if it has no complete checkpoint."""
    if context.resume is not None:
        recorded = context.resume.info.facts.get("start")
        return _recorded(context, recorded) if isinstance(recorded, dict) else None
    if wanted is None:
        return None
    if (kept := context.runs.champion(wanted)) is not None:
        found = warm_start_at(context, kept.run, kept.folder)
    else:
        run = context.runs.find(wanted, use="model", checkpoint="best")
        found = warm_start_at(context, run.name, run.checkpoint("best"))
    context.notice(f"starts from {found.run}, {found.offset:,} steps into the data")
    return found


def _recorded(context: Context, recorded: Mapping[str, Any]) -> WarmStart:
    """The warm start that a run recorded; its checkpoint is fetched if only the shared store has it."""
    found = WarmStart(**recorded)
    if not (context.workspace.root / found.path).is_dir():
        context.runs.pull_path(found.path)
    return found


def warm_start_at(context: Context, run: str, folder: Path) -> WarmStart:
    """The checkpoint in `folder`, from the run `run`."""
    try:
        digest = read_manifest(folder).digest
    except StoreError as error:
        raise RunError(
            f"the checkpoint of {run} cannot be used for a warm start: {error}; leave --from out"
        ) from error
    warm_start = WarmStart(run, context.workspace.relative(folder), digest, 0)
    state = _json(folder / "state.json")
    read = sum(value for key in ("offset", "step") if isinstance(value := state.get(key, 0), int))
    return warm_start.at_least(read).at_least(_read_by(context, run))


def _read_by(context: Context, run: str) -> int:
    """Steps of data read by a run and its predecessors; its best checkpoint may be from before its end."""
    try:
        found = Run(context.workspace.runs / run)
        return int((found.info.facts.get("start") or {}).get("offset", 0)) + found.status.step
    except RunError:
        return 0  # a champion outlives its run


def vocabulary_of(context: Context, warm_start: WarmStart) -> dict[str, Any]:
    """The vocabulary of the warm-start model."""
    return _json(context.workspace.root / warm_start.path / "vocabulary.json")


def warm_start_checkpoint(context: Context, warm_start: WarmStart | None) -> WarmStartCheckpoint | None:
    """The trainer's warm-start argument. Raises RunError if the checkpoint is missing or has changed."""
    if warm_start is None:
        return None
    folder = context.workspace.root / warm_start.path
    try:
        same = read_manifest(folder).digest == warm_start.checkpoint
    except StoreError:
        same = False
    if not same:
        raise RunError(
            f"the checkpoint of {warm_start.run} to start from is gone or another; nothing was trained"
        )
    return WarmStartCheckpoint(folder, warm_start.offset)


def warm_start_config(
    context: Context, warm_start: WarmStart | None, config: ModelConfig, size: int
) -> ModelConfig:
    """The architecture's settings, with the input width that the warm-start model requires."""
    if warm_start is None:
        return config
    card = _json(context.workspace.root / warm_start.path / "config.json")
    before = card.get("vocabulary_size")
    if not isinstance(before, int) or before == size or not isinstance(card.get("config"), dict):
        return config
    try:
        parent = type(config).model_validate(card["config"])
    except ValueError:
        return config
    return fixed_width(config, parent, before, size)


def check_fits(context: Context, start: WarmStart | None, spec: Architecture, config: ModelConfig) -> None:
    """Compare the warm-start model with the planned one, before a run is created.

    Raises RunError naming what differs.
    """
    if start is not None and (found := _difference(context, start, spec, config)):
        raise RunError(
            f"{spec.name} cannot start from {start.run}: {found}; use its settings, or leave --from out"
        )


def difference(context: Context, warm_start: WarmStart, arch: str) -> str | None:
    """Why the architecture `arch`, with these settings, cannot start there; None if it can."""
    provided, config = architecture(context, arch)
    return _difference(context, warm_start, provided.spec, config)


def _difference(
    context: Context, warm_start: WarmStart, spec: Architecture, config: ModelConfig
) -> str | None:
    folder = context.workspace.root / warm_start.path
    card = _json(folder / "config.json")
    if spec.counted:
        return f"a {spec.name} is a count-based model, which has no weights to start from"
    if card.get("architecture") != spec.name:
        return f"that is a {card.get('architecture')}, and a {spec.name} is wanted"
    size = card.get("vocabulary_size")
    changed = ", ".join(_changed(card.get("config", {}), config.model_dump(mode="json")))
    if changed and not (isinstance(size, int) and _same_shapes(folder, spec, config, size)):
        return changed
    return None


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    keys = (key for key in sorted({*old, *new}) if key != "embedding_size")
    return [f"{key} {old.get(key)} -> {new.get(key)}" for key in keys if old.get(key) != new.get(key)]


def _same_shapes(folder: Path, spec: Architecture, config: ModelConfig, size: int) -> bool:
    """Whether both have the same structure, whatever their settings say: dropout changes no tensor."""
    with torch.device("meta"):
        network = build_network(spec, config, size)
    sketch = network.state_dict()
    saved = read_header(folder / "model.safetensors")
    if any(name not in saved for name, _ in network.named_parameters()):
        return False
    return all(name in sketch and entry["shape"] == list(sketch[name].shape) for name, entry in saved.items())


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}; name another run, or leave --from out") from error
    return value if isinstance(value, dict) else {}
