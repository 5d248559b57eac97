"""The versions of champions in the shared store: their files, which only ever grow in number.

champions/<corpus>/versions/0003-<model>/...   a version's files, version.json last
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from pydantic import ValidationError

from charpipe.champions.records import damage, kept
from charpipe.champions.state import Version, champion_folder, read_version
from charpipe.config.identity import file_name
from charpipe.errors import RunError
from charpipe.store.atomic import publish_folder, write_json
from charpipe.store.backends.backend import Backend
from charpipe.store.manifest import NAME as MANIFEST
from charpipe.store.manifest import read_manifest
from charpipe.workspace import Workspace

SPLITS = "splits.parquet"


@dataclass(frozen=True)
class SharedVersions:
    """The versions of the shared store, for one workspace. Raises StoreError."""

    workspace: Workspace
    backend: Backend

    def pull(self, corpus: str, version: Version) -> None:
        """Fetch a version's files, unless they are here. Raises RunError if those in the store are damaged."""
        if damage(kept(self.workspace, version)) is None:
            return
        folder, prefix = self._folder(version), self._prefix(version)
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".pulling-"))
        try:
            for name in (f"checkpoint/{MANIFEST}", *(f"checkpoint/{name}" for name in version.files)):
                self._download(f"{prefix}{name}", making / name)
            manifest = read_manifest(making / "checkpoint")
            for name in manifest.files.keys() - version.files.keys():
                if Path(name).name == name:
                    self._download(f"{prefix}checkpoint/{name}", making / "checkpoint" / name)
            wrong = manifest.check(making / "checkpoint", thorough=True)
            wrong = wrong or damage(
                kept(
                    self.workspace,
                    version.model_copy(update={"path": self.workspace.relative(making / "checkpoint")}),
                )
            )
            if wrong is not None:
                raise RunError(
                    f"version {version.version} of {corpus} in {self.backend.url} is damaged: {wrong}; nothing was "
                    f"loaded; another version may be intact: charpipe models list --corpus {quote(corpus)}"
                )
            if any(entry.key == f"{prefix}{SPLITS}" for entry in self.backend.list(prefix)):
                self._download(f"{prefix}{SPLITS}", making / SPLITS)
            write_json(making / "version.json", version.model_dump(mode="json"))
            self._put_aside(version)
            publish_folder(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)

    def pull_number(self, folder: str, number: int) -> None:
        """Fetch the files of a version, by the folder's name of its corpus and its number."""
        for entry in self.backend.list(f"champions/{folder}/versions/"):
            if entry.key.endswith("/version.json") and f"/versions/{number:04d}-" in entry.key:
                stored = self.backend.read(entry.key)
                version = _version(self.workspace, stored.data) if stored is not None else None
                if version is not None and file_name(version.corpus) == folder and version.version == number:
                    self.pull(version.corpus, version)

    def pull_descriptions(self, corpus: str) -> None:
        """Fetch the descriptions of all versions, for lists; the files of none."""
        for entry in self.backend.list(f"champions/{file_name(corpus)}/versions/"):
            if not entry.key.endswith("/version.json"):
                continue
            stored = self.backend.read(entry.key)
            version = _version(self.workspace, stored.data) if stored is not None else None
            if version is not None and version.corpus == corpus and not self._is_here(version):
                self._put_aside(version)
                write_json(self._folder(version) / "version.json", version.model_dump(mode="json"))

    def push(self, version: Version) -> None:
        """Write a version's files to the store, version.json last; it is no champion yet."""
        folder, prefix = self._folder(version), self._prefix(version)
        for path in sorted(folder.rglob("*"), key=lambda path: path.name == "version.json"):
            if path.is_file():
                self.backend.upload(f"{prefix}{path.relative_to(folder).as_posix()}", path)

    def _put_aside(self, version: Version) -> None:
        """Move another model of the same number, which was champion only here, out of the way; its files stay."""
        folder = self._folder(version)
        if not folder.exists():
            return
        found = read_version(folder)
        if found is not None and found.model != version.model:
            aside = folder.parents[1] / "replaced" / f"{folder.name}-{found.model[:12]}"
            aside.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
        else:
            shutil.rmtree(folder)  # the description alone, or damaged files

    def _is_here(self, version: Version) -> bool:
        found = read_version(self._folder(version))
        return found is not None and found.model == version.model

    def _download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.backend.download(key, path)

    def _folder(self, version: Version) -> Path:
        return self.workspace.root / Path(version.path).parent

    def _prefix(self, version: Version) -> str:
        name = f"{version.version:04d}-{file_name(version.model[:12])}"
        return f"champions/{file_name(version.corpus)}/versions/{name}/"


def _version(workspace: Workspace, data: bytes) -> Version | None:
    try:
        return as_here(workspace, Version.model_validate_json(data))
    except ValidationError:
        return None


def as_here(workspace: Workspace, version: Version) -> Version:
    """A version whose path is this workspace's own, whatever the record says; only plain file names count."""
    folder = champion_folder(workspace, version.corpus).relative_to(workspace.root).as_posix()
    files = {name: digest for name, digest in version.files.items() if Path(name).name == name}
    path = f"{folder}/versions/{version.version:04d}/checkpoint"
    return version.model_copy(update={"path": path, "files": files})
