"""Ownership checks: a project file and its plugins are code, and another user's code is not run.

The rule is that of git's safe.directory: a file is trusted if this user or root owns it (under sudo: also the user who
ran sudo) and it is not world-writable. Folders listed in `CHARPIPE_SAFE_DIRECTORY` are trusted without a check.
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from charpipe.errors import OwnershipError

VARIABLE = "CHARPIPE_SAFE_DIRECTORY"


def check_project_file(path: Path) -> Path:
    """Return `path` if its owner is trusted. Raises OwnershipError naming the owner and how to allow it."""
    _check(path, path.parent)
    return path


def check_plugin_folder(folder: Path, project: Path) -> Path:
    """Return `folder` if the owner of every file in it is trusted; `project` is the folder of the project file.

    Raises OwnershipError. Plugins are imported only after this check.
    """
    if folder.is_dir() and not _is_allowed(folder) and not _is_allowed(project):
        for path in (folder, *_inside(folder)):
            _check(path, folder)
    return folder


def _check(path: Path, allow: Path) -> None:
    problem = _problem(path)
    if problem is not None and not _is_allowed(allow):
        raise OwnershipError(
            f"{path} {problem}, so it is not read and none of its plugins is run; "
            f"if you trust it, type: export {VARIABLE}={_quoted(allow)}"
        )


def _problem(path: Path) -> str | None:
    """Why a file is not trusted, or None. A link and its target must both be trusted."""
    trusted = _trusted_owners()
    if trusted is None:
        return None
    for facts in (path.lstat(), _target(path)):
        if facts.st_uid not in trusted:
            return f"belongs to another user ({_name(facts.st_uid)})"
        if stat.S_ISREG(facts.st_mode) and facts.st_mode & stat.S_IWOTH:
            return "can be changed by every user of this machine"
    return None


def _trusted_owners() -> frozenset[int] | None:
    """The user ids whose files are trusted; None on a system without user ids."""
    if not hasattr(os, "geteuid"):
        return None
    user = os.geteuid()
    typed = os.environ.get("SUDO_UID", "")
    return frozenset({0, user} | ({int(typed)} if user == 0 and typed.isdigit() else set()))


def _target(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError:  # a dangling link
        return path.lstat()


def _inside(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(root, name) for name in (*folders, *files))


def _is_allowed(folder: Path) -> bool:
    """Whether the environment variable lists `folder`, a parent of it, or `*`."""
    listed = [entry for entry in os.environ.get(VARIABLE, "").split(os.pathsep) if entry]
    if "*" in listed:
        return True
    real = Path(os.path.realpath(folder))
    around = (real, *real.parents)
    return any(Path(entry).is_absolute() and Path(os.path.realpath(entry)) in around for entry in listed)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid {user}"


def _quoted(path: Path) -> str:
    return shlex.quote(os.path.realpath(path))
