"""References: the runs and models that the policy keeps, and every object that they were made from."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from charpipe.champions import corpora, versions
from charpipe.champions.state import Version, read_state
from charpipe.config.settings.retention import RetentionConfig
from charpipe.errors import RunError
from charpipe.runs import Run, readable_runs
from charpipe.runs.find import find_run
from charpipe.workspace import Workspace

DAY = 86_400.0


@dataclass
class References:
    """What a collection keeps.

    `runs`: names with reasons; `versions`: (corpus, version) of models; `objects`: digests of the objects that both
    need; `starts`: the checkpoints (paths in the workspace) that unfinished runs start from.
    """

    runs: dict[str, str] = field(default_factory=dict)
    versions: set[tuple[str, int]] = field(default_factory=set)
    objects: set[str] = field(default_factory=set)
    starts: set[str] = field(default_factory=set)

    def keep(self, version: Version) -> None:
        """Add a model version, the run that produced it, and the objects that it was made from."""
        self.versions.add((version.corpus, version.version))
        self.runs[version.run] = f"version {version.version} of {version.corpus}"
        self.objects |= set(version.inputs.values())


def references(workspace: Workspace, policy: RetentionConfig) -> References:
    """Everything that the policy keeps. Raises RunError if a champion's record cannot be read."""
    kept = References()
    for corpus in corpora(workspace):
        for version in kept_versions(workspace, corpus, policy):
            kept.keep(version)
    runs = readable_runs(workspace.root / "runs")
    _keep_by_policy(kept, runs, policy)
    for corpus in {run.info.corpus for run in runs}:
        try:
            kept.runs[find_run(workspace.root / "runs", f"best:name:{corpus}").name] = f"best:{corpus}"
        except RunError:
            continue
    for run in runs:
        if run.name in kept.runs:
            kept.objects |= set(run.info.inputs.values())
    return kept


def kept_versions(workspace: Workspace, corpus: str, policy: RetentionConfig) -> list[Version]:
    """The model versions of a corpus to keep, oldest first. Raises RunError if its champion's record is damaged."""
    state = read_state(workspace, corpus)
    found = {version.version: version for version in versions(workspace, corpus)}
    newest = set(sorted(found)[-policy.keep_versions :])
    always = [state.champion, state.previous] if state else []
    for version in always:
        if version is not None:
            newest.add(version.version)
            found[version.version] = version
    return [found[number] for number in sorted(newest)]


def _keep_by_policy(kept: References, runs: list[Run], policy: RetentionConfig) -> None:
    by_corpus: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_corpus[run.info.corpus].append(run)
    for same in by_corpus.values():
        for run in same[-policy.keep_runs :]:
            kept.runs.setdefault(run.name, f"one of the newest {policy.keep_runs}")
    for run in runs:
        if _age(run) < policy.keep_days * DAY:
            kept.runs.setdefault(run.name, f"younger than {policy.keep_days:g} days")
        try:
            state = run.status.state
        except RunError:
            state = "new"
        if state not in ("finished", "failed"):
            kept.runs.setdefault(run.name, f"{state}: it can be resumed")
            start = run.info.facts.get("start")
            if isinstance(start, dict) and isinstance(start.get("path"), str):
                kept.starts.add(start["path"])


def _age(run: Run) -> float:
    """Seconds since the run was created; 0 if its time cannot be parsed."""
    try:
        made = datetime.fromisoformat(run.info.created)
    except ValueError:
        return 0.0
    return time.time() - (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()
