"""Fetch a run, or one of its checkpoints, from the shared store into the workspace; every checkpoint is verified."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from charpipe.errors import RunError, StoreAccessError, StoreError, StoreUnreachableError
from charpipe.events import Listener, Notice
from charpipe.runs.annotations import FILE as ANNOTATIONS
from charpipe.runs.folder import Run, step_of
from charpipe.runs.mirror.layout import Listing, StoredCheckpoint, is_plain_name
from charpipe.store.atomic import publish_folder, write_text
from charpipe.store.backends.backend import Backend
from charpipe.store.json_objects import parse_object
from charpipe.store.manifest import NAME as MANIFEST
from charpipe.store.manifest import Manifest, is_whole, read_manifest

PULLING = ".saving-pulled-"
"""Prefix of the folder of a checkpoint that is being fetched; training clears such folders away."""
OWN_MLFLOW = "workspace"
"""What a run that was tracked to its workspace's own MLflow names as the place."""


class DamagedCheckpointError(StoreError):
    """A checkpoint in the shared store is not what its manifest states."""


def pull_records(backend: Backend, listing: Listing, folder: Path) -> Run:
    """Write the small files of a run into `folder`, without its checkpoints; run.json, which makes it a run, is last.

    Raises StoreError if the store does not answer, RunError if what it holds is damaged.
    """
    run, keys = Run(folder), listing.records()
    before = _json(folder / "status.json")
    for name in sorted(keys, key=lambda name: name == "run.json"):
        stored = backend.read(keys[name])
        if stored is None:
            continue  # removed since it was listed
        try:
            text = stored.data.decode("utf-8")
            if name == "status.json":
                steps = [stored.step for stored in listing.checkpoints()]
                text = (
                    json.dumps(_as_here(json.loads(text), before, steps), indent=2, ensure_ascii=False) + "\n"
                )
        except (ValueError, TypeError, AttributeError) as error:
            raise RunError(
                f"{name} of the run {listing.run} in {backend.url} is damaged; nothing was changed here"
            ) from error
        write_text(folder / name, text)
    return run


def pull_annotations(backend: Backend, run: str, folder: Path) -> None:
    """Write the name, note and tags that the store has of a run into its folder, where they differ."""
    stored = backend.read(f"runs/{run}/{ANNOTATIONS}")
    if stored is None:
        return
    with suppress(OSError):
        if (folder / ANNOTATIONS).read_bytes() == stored.data:
            return
    write_text(folder / ANNOTATIONS, stored.data.decode("utf-8", "replace"))


def pull_checkpoint(backend: Backend, stored: StoredCheckpoint, folder: Path) -> Path:
    """Fetch a checkpoint into `folder/step-00001200`, unless the same one is there.

    Raises DamagedCheckpointError if a file is missing or has another digest than the manifest states.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{stored.step:08d}"
    temporary = Path(tempfile.mkdtemp(dir=folder, prefix=PULLING))
    try:
        manifest = _fetch_manifest(backend, stored, temporary)
        if is_whole(final, manifest):
            return final
        for name in manifest.files:
            if not is_plain_name(name):
                raise DamagedCheckpointError(f"{stored.key} names a file {name!r}")
            _fetch(backend, f"{stored.key}/{name}", temporary / name)
        if (wrong := manifest.check(temporary, thorough=True)) is not None:
            raise DamagedCheckpointError(f"{stored.key}: {wrong}")
        remove(final)
        publish_folder(temporary, final)
    except OSError as error:
        raise RunError(
            f"the checkpoint of step {stored.step:,} cannot be written to {folder}: {error.strerror or error}"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def pull_step(backend: Backend, listing: Listing, run: Run, step: int) -> Path | None:
    """Fetch the checkpoint of one step; None if the shared store has none that is intact."""
    for stored in listing.checkpoints():
        if stored.step == step:
            try:
                return pull_checkpoint(backend, stored, run.checkpoints)
            except DamagedCheckpointError:
                continue
    return None


def pull_newest(backend: Backend, listing: Listing, run: Run, notify: Listener) -> int:
    """Fetch what training resumes from: the newest intact checkpoint, and the best one up to it.

    Checkpoints in the folder that the newest attempt does not descend from are removed. Returns the step; 0 if there
    is none.
    """
    found: Path | None = None
    for stored in listing.checkpoints():
        try:
            found = pull_checkpoint(backend, stored, run.checkpoints)
            break
        except DamagedCheckpointError as error:
            notify(
                Notice(
                    f"a checkpoint in {backend.url} is damaged ({error}); using the previous one", "warning"
                )
            )
    drop_others(backend, listing, run)
    if found is None:
        return 0
    best = _json(found / "state.json").get("best")
    if isinstance(best, dict) and isinstance(best.get("step"), int) and best["step"] != step_of(found):
        pull_step(backend, listing, run, best["step"])
    return step_of(found)


def drop_others(backend: Backend, listing: Listing, run: Run) -> None:
    """Remove the folder's checkpoints that the newest attempt does not descend from."""
    line: dict[int, StoredCheckpoint] = {}
    for stored in listing.checkpoints():
        line.setdefault(stored.step, stored)
    for path in run.checkpoints.glob("step-*"):
        there = line.get(step_of(path))
        if there is None or not _is_copy(backend, there, path):
            remove(path)


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint, if it exists; renamed first, so that an interrupted removal leaves no damaged one."""
    if checkpoint.is_dir():
        aside = checkpoint.with_name(f"{PULLING}old-{checkpoint.name}")
        shutil.rmtree(aside, ignore_errors=True)
        checkpoint.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _is_copy(backend: Backend, stored: StoredCheckpoint, folder: Path) -> bool:
    there = backend.read(f"{stored.key}/{MANIFEST}")
    try:
        return there is not None and there.data == (folder / MANIFEST).read_bytes()
    except OSError:
        return False


def _fetch(backend: Backend, key: str, path: Path) -> None:
    try:
        backend.download(key, path)
    except (StoreUnreachableError, StoreAccessError):
        raise
    except StoreError as error:
        raise DamagedCheckpointError(str(error)) from error


def _fetch_manifest(backend: Backend, stored: StoredCheckpoint, folder: Path) -> Manifest:
    there = backend.read(f"{stored.key}/{MANIFEST}")
    if there is None:
        raise DamagedCheckpointError(f"{stored.key} is gone")
    (folder / MANIFEST).write_bytes(there.data)
    try:
        return read_manifest(folder)
    except StoreError as error:
        raise DamagedCheckpointError(f"{stored.key}: its {MANIFEST} cannot be read") from error


def _as_here(status: Mapping[str, Any], before: Mapping[str, Any], steps: Sequence[int]) -> dict[str, Any]:
    """A status from elsewhere as this workspace keeps it.

    MLflow's and Prefect's ids of a server in another workspace mean nothing here. `steps` are those of the store's
    checkpoints, newest first: a best or last one that was not pushed yet is replaced by the newest.
    """
    found = {**status, "prefect": before.get("prefect", {})}
    if (found.get("mlflow") or {}).get("uri") == OWN_MLFLOW:
        found["mlflow"] = before.get("mlflow", {})
    for role in ("best", "last"):
        entry = found.get(role)
        if isinstance(entry, dict) and steps:
            step = entry["step"] if entry["step"] in steps else steps[0]
            metrics = entry.get("metrics", {}) if step == entry["step"] else {}
            found[role] = {"step": step, "path": f"checkpoints/step-{step:08d}", "metrics": metrics}
        else:
            found[role] = None
    return found


def _json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if it cannot be read."""
    try:
        return parse_object(path.read_bytes())
    except OSError:
        return {}
