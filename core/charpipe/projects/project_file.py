"""Edit the project file: what is added stands at its end, everything else stays as it is, comments too."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from charpipe.config.files import find_project_file, read_toml
from charpipe.errors import UsageError
from charpipe.store.atomic import write_text
from charpipe.workspace import Workspace


def project_file_here() -> Path:
    """The project file in reach. Raises UsageError if there is none."""
    found = find_project_file()
    if found is None:
        raise UsageError("there is no project here; to make one in this folder, type: charpipe init")
    return found


def add_table(file: Path, section: str, name: str, table: Mapping[str, Any], workspace: Workspace) -> None:
    """Add `[section.name]` to the project file.

    Raises UsageError, with the file as it was, if it has such a table already, is not TOML or cannot hold it.
    """
    with FileLock(workspace.root / "project-file.lock", is_singleton=False):
        before = read_toml(file)
        if name in before.get(section, {}):
            raise UsageError(f"{file} has a table {section}.{name} already; nothing was changed")
        text = file.read_bytes().decode("utf-8")
        wanted = {**before, section: {**before.get(section, {}), name: dict(table)}}
        for edit in (_at_end, _inside):
            if _parsed(edited := edit(text, section, name, table)) == wanted:
                write_text(file.resolve(), edited)
                return
    lines = _table_lines(section, name, table)
    raise UsageError(f"{file.name} could not be edited, and is as it was; write this into it:\n{lines}")


def _at_end(text: str, section: str, name: str, table: Mapping[str, Any]) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    added = _table_lines(section, name, table).replace("\n", end)
    body = text.rstrip("\r\n")
    return f"{body}{end}{end}{added}" if body else added


def _inside(text: str, section: str, name: str, table: Mapping[str, Any]) -> str:
    """The text with the table inside of one that is written inline or with dotted keys."""
    import tomlkit

    document = tomlkit.parse(text)
    if section in document:
        document[section][name] = dict(table)
    return tomlkit.dumps(document)


def _table_lines(section: str, name: str, table: Mapping[str, Any]) -> str:
    import tomlkit

    inner = tomlkit.table()
    for key, value in table.items():
        inner.add(key, _inline(value) if isinstance(value, Mapping) else value)
    outer = tomlkit.table(is_super_table=True)
    outer.add(name, inner)
    document = tomlkit.document()
    document.add(section, outer)
    return tomlkit.dumps(document)


def _inline(table: Mapping[str, Any]) -> Any:
    import tomlkit

    made = tomlkit.inline_table()
    made.update(table)
    return made


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
