"""A model as a folder that loads anywhere: safetensors, JSON and a model card, as the Hugging Face Hub takes them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from charpipe.errors import UsageError
from charpipe.exports.card import card
from charpipe.exports.facts import KEY, Facts
from charpipe.models.bundle import save_model
from charpipe.models.card import read_json
from charpipe.models.loaded import Loaded
from charpipe.store.atomic import sync_folder, umask, write_json, write_text


def write_folder(loaded: Loaded, facts: Facts, place: Path) -> None:
    """Write `model.safetensors`, `config.json`, `vocabulary.json` and the card `README.md` into the folder `place`.

    It appears whole: the files are written beside it first. Other files in it are kept. Raises UsageError if it cannot
    be written.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.") as temporary:
            made = Path(temporary) / "model"
            made.mkdir()
            _write_files(loaded, facts, made)
            sync_folder(made)
            _publish(made, place)
    except OSError as error:
        raise UsageError(
            f"{place} cannot be written ({error.strerror or error}); give another --out"
        ) from error


def _write_files(loaded: Loaded, facts: Facts, folder: Path) -> None:
    save_model(loaded.model, folder)
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", {**config, KEY: facts.model_dump()})
    write_text(folder / "README.md", card(facts))


def _publish(made: Path, place: Path) -> None:
    made.chmod(0o777 & ~umask())
    for path in made.iterdir():
        path.chmod(0o666 & ~umask())
    if not place.exists():
        made.rename(place)
        return
    for path in made.iterdir():
        shutil.move(path, place / path.name)
