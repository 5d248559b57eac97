"""The folder that holds all that charpipe makes: the store, the runs, MLflow's and Prefect's files, the logs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from charpipe.errors import CharpipeError

FOLDER = ".charpipe"
VARIABLE = "CHARPIPE_HOME"


@dataclass(frozen=True)
class Workspace:
    """A workspace at `root`. Everything inside is found by relative paths, so it can be moved."""

    root: Path

    @property
    def store(self) -> Path:
        return self._room("store")

    @property
    def runs(self) -> Path:
        return self._room("runs")

    @property
    def downloads(self) -> Path:
        return self._room("downloads")

    @property
    def mlflow(self) -> Path:
        return self._room("mlflow")

    @property
    def prefect(self) -> Path:
        return self._room("prefect")

    @property
    def logs(self) -> Path:
        return self._room("logs")

    def _room(self, name: str) -> Path:
        folder = self.root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CharpipeError(
                f"the workspace cannot be written: {folder} ({error.strerror}); set {VARIABLE} to a folder that can"
            ) from error
        return folder

    def relative(self, path: Path) -> str:
        """`path` as it is written into manifests: relative to the root, with forward slashes."""
        return path.resolve().relative_to(self.root.resolve()).as_posix()


def find_workspace(project_file: Path | None) -> Workspace:
    """`$CHARPIPE_HOME`, else `.charpipe/` beside the project file, else in the working directory."""
    found = _find(project_file)
    if not os.path.isabs(os.path.expanduser("~")):  # noqa: PTH111, PTH117  no HOME, and a user without a name
        os.environ["HOME"] = str(
            found.root / "home"
        )  # libraries ask for one, if only to look for a cache there
    return found


def _find(project_file: Path | None) -> Workspace:
    home = os.environ.get(VARIABLE)
    if home:
        plain = os.path.expanduser(home)  # noqa: PTH111  an unknown user stays as written
        return Workspace(Path(os.path.realpath(plain)))  # one workspace has one path, however it is reached
    beside = project_file.parent if project_file else Path.cwd()
    return Workspace(Path(os.path.realpath(beside / FOLDER)))
