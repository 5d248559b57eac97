"""Models named by the folder that they were exported to."""

from __future__ import annotations

from pathlib import Path

from charpipe.errors import RunError, UsageError
from charpipe.models.loaded import Bundle, open_bundle
from charpipe.plugins.registry import Registry
from charpipe.store.paths import shell_word


def is_model_folder(folder: Path) -> bool:
    """Whether there is an exported model, whole or damaged."""
    return (folder / "config.json").is_file()


def open_folder(folder: Path, registry: Registry) -> Bundle:
    """The model in a folder; its name is the folder's. Raises UsageError if there is none, RunError if it is
    damaged."""
    folder = folder.expanduser()
    if not is_model_folder(folder):
        what = "has no config.json" if folder.is_dir() else "is no folder"
        raise UsageError(
            f"there is no exported model at {folder}: it {what}; type: charpipe export RUN --to folder "
            f"--out {shell_word(str(folder))}"
        )
    for name in ("model.safetensors", "vocabulary.json"):
        if not (folder / name).is_file():
            raise RunError(f"the exported model at {folder} is incomplete: it has no {name}; export it again")
    return open_bundle(folder.resolve().name, folder, registry)
