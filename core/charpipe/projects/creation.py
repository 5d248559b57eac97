"""Make a project: a folder with a commented `pipelines.toml` and a folder for plugins. Never overwrites."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from charpipe.config.files import NAME, find_project_file
from charpipe.errors import CharpipeError, UsageError

PLUGINS = "plugins"
README = "README.md"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Project:
    """A new project: its folder, its file, the files that were written, and the project around it if there is one."""

    folder: Path
    file: Path
    written: tuple[Path, ...]
    around: Path | None = None


def create_project(folder: Path) -> Project:
    """Write `pipelines.toml` and `plugins/README.md` into `folder`, which is made if it does not exist.

    Files that exist are kept. Raises UsageError, before writing anything, if the folder has a project already or is
    no folder; CharpipeError if it cannot be written.
    """
    file = folder / NAME
    _check_free(folder, file)
    around = find_project_file(folder)
    written = []
    try:
        (folder / PLUGINS).mkdir(parents=True, exist_ok=True)
        for path, template in ((file, NAME), (folder / PLUGINS / README, "plugins.md")):
            if _write_new(path, (TEMPLATES / template).read_text("utf-8")):
                written.append(path)
    except OSError as error:
        raise CharpipeError(
            f"{error.filename or folder} cannot be written: {error.strerror}; name another folder: "
            "charpipe init FOLDER"
        ) from error
    if file not in written:  # another process was faster
        _check_free(folder, file)
    return Project(folder, file, tuple(written), around)


def _check_free(folder: Path, file: Path) -> None:
    if file.exists() or file.is_symlink():
        raise UsageError(
            f"there is a project already, {file.absolute()}; nothing was changed; to add a text to it, type in its "
            "folder: charpipe corpora add NAME PATH"
        )
    for path, word in ((folder, "folder"), (folder / PLUGINS, "folder for plugins")):
        if (path.exists() or path.is_symlink()) and not path.is_dir():
            raise UsageError(f"{path} is no {word}; nothing was changed; name another: charpipe init FOLDER")


def _write_new(path: Path, text: str) -> bool:
    """Write a file, unless there is one; returns whether it was written."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
