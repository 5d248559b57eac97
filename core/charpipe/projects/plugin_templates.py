"""Write a new plugin into the project: a folder with a small one that works, and its test."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from string import Template

from charpipe.config.load import Resolved
from charpipe.errors import CharpipeError, UsageError, near_match
from charpipe.plugins.registry import Registry
from charpipe.projects.creation import TEMPLATES

FOLDER = TEMPLATES / "plugins"
KINDS: Sequence[str] = ("cell", "architecture", "tokenizer", "source", "decoder", "metric", "pipeline")
SPEC = {"cell": "architecture"}
"""The kind of spec of a template, where it has another name."""
LONGEST = 40
_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")


@dataclass(frozen=True)
class NewPlugin:
    """A plugin that was written: its kind, the name of what it provides, and its folder with the files in it."""

    kind: str
    name: str
    folder: Path
    files: tuple[Path, ...]


def write_plugin(kind: str, name: str, resolved: Resolved, registry: Registry) -> NewPlugin:
    """Write the folder of a new plugin `name` of this kind into the first folder of `[plugins] paths`.

    Raises UsageError, before writing anything, for an unknown kind, a name that cannot be one or is taken, and where
    there is no project.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no template for a {kind!r}{near_match(kind, KINDS)}")
    if resolved.project_file is None:
        raise UsageError("there is no project here; to make one in this folder, type: charpipe init")
    module = _module(kind, name)
    provided = f"train/{module}" if kind == "metric" else name
    spec = SPEC.get(kind, kind)
    if provided in registry.all(spec) or provided in registry.conflicts(spec):
        raise UsageError(
            f"there is {'an' if spec[0] in 'aeiou' else 'a'} {spec} {provided!r} already; choose another name"
        )
    paths = resolved.config.plugins.paths
    if not paths:
        raise UsageError(
            f'[plugins] paths of {resolved.project_file} names no folder; write: paths = ["plugins"]'
        )
    folder = resolved.project_file.parent / Path(paths[0]).expanduser() / module
    _check_free(folder, module, registry)
    values = {"name": name, "module": module, "Class": "".join(map(str.capitalize, module.split("_")))}
    return NewPlugin(kind, provided, folder, tuple(_write(kind, folder, values)))


def _module(kind: str, name: str) -> str:
    """The name of the Python module. Raises UsageError if `name` cannot be one of a plugin."""
    if not _NAME.fullmatch(name) or len(name) > LONGEST:
        raise UsageError(
            f"{name!r} cannot be the name of a {kind}: it has at most {LONGEST} small letters, digits, - and _, and "
            "begins with a letter; for example my-cell"
        )
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names:
        raise UsageError(f"{name!r} is a word of Python's own; choose another name, for example my-{name}")
    return module


def _check_free(folder: Path, module: str, registry: Registry) -> None:
    for path in (folder, folder.with_suffix(".py")):
        if path.exists() or path.is_symlink():
            raise UsageError(f"{path} exists already; nothing was changed; choose another name")
    known = module in {provider.module for provider in registry.providers()}
    if known or module in sys.modules or find_spec(module) is not None:
        raise UsageError(f"there is a Python module {module!r} already; choose another name")


def _write(kind: str, folder: Path, values: dict[str, str]) -> list[Path]:
    files = []
    try:
        folder.mkdir(parents=True)
        for template in sorted((FOLDER / kind).glob("*.txt")):
            path = folder / template.name.removesuffix(".txt").replace("@module", values["module"])
            text = Template(template.read_text("utf-8")).substitute(values)
            path.write_text(text, encoding="utf-8", newline="\n")
            files.append(path)
    except OSError as error:
        raise CharpipeError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    return files
