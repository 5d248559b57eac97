"""The project that a deployment was made from, as digests: its settings by table, and the code of its plugins.

A worker executes a run only in a project with the same digest, so that a run gives the same model wherever it is
executed. Nothing here is a path: the worker's project lies elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from charpipe.config.files import NAME, VARIABLE, find_project_file
from charpipe.config.load import Resolved
from charpipe.errors import UsageError
from charpipe.plugins.registry import Registry
from charpipe.store.digest import digest_of_json
from charpipe.store.secrets import without_secret

IGNORED = (
    *("cluster", "prefect", "retention", "store"),
    *("corpora", "deployments", "pipelines", "plugins", "presets"),
)
"""Tables that say where and not what, and those that decide only through others: deployments, pipelines and presets are
in the settings that they give, the corpus and the store's URL are added, plugins are compared by their code."""
DIGITS = 12


@dataclass(frozen=True)
class Project:
    """A project's digest, the digests that it is made of, and the URL of its shared store."""

    digest: str
    parts: Mapping[str, str]
    store: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As a deployment carries it."""
        return {"digest": self.digest, "parts": dict(self.parts), "store": self.store}


def describe_project(resolved: Resolved, registry: Registry, corpus: str | None) -> Project:
    """The project with these settings and plugins, for runs on `corpus` (None: on any)."""
    tables = resolved.config.model_dump(mode="json")
    corpora = tables["corpora"]
    named = corpora if corpus is None else {corpus: corpora[corpus]} if corpus in corpora else {}
    folder = resolved.project_file.parent if resolved.project_file is not None else Path.cwd()
    found = {f"[{name}]": table for name, table in tables.items() if name not in IGNORED and table}
    found |= {f"[corpora.{name}]": _relative(table, folder) for name, table in named.items()}
    parts = {name: digest_of_json(table)[:DIGITS] for name, table in found.items()}
    for provider in registry.providers():
        name = "charpipe" if provider.own else f"the plugin {provider.module}"
        parts[name] = provider.version if provider.own else provider.digest()[:DIGITS]
    url = resolved.config.store.url
    store = None if url is None else without_secret(url)
    if store is not None:
        parts["[store] url"] = store
    return Project(digest_of_json(parts)[:DIGITS], parts, store)


def check_project(deployed: Mapping[str, Any], here: Project) -> None:
    """Raise UsageError, naming both digests and what differs, if this project is not the one that was deployed."""
    if deployed.get("digest") == here.digest:
        return
    before: Mapping[str, str] = deployed.get("parts") or {}
    changed = sorted(name for name in {*before, *here.parts} if before.get(name) != here.parts.get(name))
    differing = ", ".join(_named(part, before, here.parts) for part in changed)
    raise UsageError(
        f"the project on this worker ({here.digest}) is not the one that was deployed ({deployed.get('digest')}), and "
        f"nothing was run; they differ in {differing or 'their digests'}; copy the project's files to this worker, or "
        "deploy it again with `charpipe deploy`"
    )


def enter_project() -> None:
    """Make the project's folder the working directory of this process, which a worker started in another one.

    Raises UsageError where there is none.
    """
    found = find_project_file()
    if found is None:
        raise UsageError(
            f"this worker has no {NAME} to run with; start it with {VARIABLE} set to the folder of a copy of the "
            "project"
        )
    os.chdir(found.parent)


def relative_to_project(path: str, folder: Path) -> str:
    """A path inside the project's `folder` as it is on any machine; one outside as it was given."""
    place = Path(os.path.abspath(folder / path))  # noqa: PTH100  takes .. away without following links
    return f"./{place.relative_to(folder).as_posix()}" if place.is_relative_to(folder) else path


def _relative(corpus: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A corpus whose sources inside the project are named relative to it."""
    sources = corpus.get("sources") or ()
    inside = [relative_to_project(one, folder) if Path(one).is_absolute() else one for one in sources]
    return {**corpus, "sources": inside}


def _named(part: str, before: Mapping[str, str], now: Mapping[str, str]) -> str:
    if part not in now:
        return f"{part} (missing here)"
    return part if part in before else f"{part} (only here)"
