"""The folder for all of charpipe's files: the store, the runs, MLflow's and Prefect's files, the logs."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from charpipe.errors import CharpipeError

FOLDER = ".charpipe"
VARIABLE = "CHARPIPE_HOME"


@dataclass(frozen=True)
class Workspace:
    """A workspace at `root`. Everything inside is referenced by relative paths, so it can be moved."""

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
                f"the workspace cannot be written: {folder} ({error.strerror}); set {VARIABLE} to a writable folder"
            ) from error
        return folder

    def relative(self, path: Path) -> str:
        """`path` as stored in manifests: relative to the root, with forward slashes."""
        return path.resolve().relative_to(self.root.resolve()).as_posix()


def find_workspace(project_file: Path | None) -> Workspace:
    """`$CHARPIPE_HOME`, else `.charpipe/` beside the project file, else in the working directory."""
    found = _find(project_file)
    if not os.path.isabs(os.path.expanduser("~")):  # noqa: PTH111, PTH117  no HOME, and a user without a name
        os.environ["HOME"] = str(
            found.root / "home"
        )  # some libraries need a home directory, if only to look for a cache there
    return found


def cached_workspace(name: str) -> Workspace:
    """A workspace in the user's cache folder, always the same for this name: for work that other machines send here."""
    from platformdirs import user_cache_path

    folder = user_cache_path("charpipe") / "workspaces" / hashlib.sha256(name.encode()).hexdigest()[:12]
    return Workspace(_as_text(os.path.realpath(folder)))


def _find(project_file: Path | None) -> Workspace:
    home = os.environ.get(VARIABLE)
    if home:
        plain = os.path.expanduser(home)  # noqa: PTH111  an unknown user stays as written
        return Workspace(
            _as_text(os.path.realpath(plain))
        )  # one canonical path per workspace, whatever path is given
    beside = project_file.parent if project_file else Path.cwd()
    return Workspace(_as_text(os.path.realpath(beside / FOLDER)))


def _as_text(path: str) -> Path:
    """The path itself; if it is not UTF-8, which Parquet, MLflow and Prefect need, a link to it in a folder of this
    user in the temporary directory, always with the same name.

    Raises CharpipeError if that folder belongs to another user.
    """
    raw = os.fsencode(path)
    name = raw.decode("utf-8", "replace").replace("\N{REPLACEMENT CHARACTER}", "_")
    if os.fsencode(name) == raw:
        return Path(path)
    folder = Path(tempfile.gettempdir()) / f"charpipe-{os.geteuid()}"
    link = folder / f"{Path(name).parent.name[-80:] or 'workspace'}-{hashlib.sha256(raw).hexdigest()[:12]}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user")
        Path(path).mkdir(parents=True, exist_ok=True)
        if not (link.is_symlink() and os.fsencode(link.readlink()) == raw):
            link.unlink(missing_ok=True)
            link.symlink_to(path)
    except OSError as error:
        raise CharpipeError(
            f"the path of the workspace is not UTF-8, and no link to it can be made in {folder} ({error.strerror}); "
            f"set {VARIABLE} to a folder whose path is UTF-8"
        ) from error
    return link
