"""Settings that may change when a run is resumed: their old values, their new values, and the step of the change.

Such a run no longer matches its first settings: it gets an action of its own, so that a command with the first
settings never takes it as its result.
"""

from __future__ import annotations

from typing import Any

from charpipe.config.settings.training import FREE
from charpipe.runs import Run
from charpipe.stages.plan import INCIDENTAL, TrainingJob
from charpipe.store.digest import digest_of_json


def first_action(run: Run) -> str:
    """The digest of the plan that the run started with."""
    return str(run.info.facts.get("begun", {}).get("action", run.info.action))


def action_then(run: Run, plan: TrainingJob) -> str:
    """The digest of the plan, with the free settings that the run started with."""
    begun = run.info.facts.get("begun", {}).get("settings", _free(run.info.settings))
    return plan.action_with(begun).digest


def record_changes(run: Run, plan: TrainingJob) -> None:
    """Record in the run which free settings change from now on."""
    info, now = run.info, plan.context.config.train.model_dump(mode="json")
    before = _free(info.settings)
    changed = {key: now[key] for key, value in before.items() if key in now and now[key] != value}
    if not changed:
        return
    facts = dict(info.facts)
    facts.setdefault("begun", {"action": info.action, "settings": before})
    facts["changes"] = [*facts.get("changes", []), {"step": run.status.step, "settings": changed}]
    action = info.action
    if changed.keys() - INCIDENTAL:
        action = digest_of_json({"begun": facts["begun"]["action"], "changes": facts["changes"]})
    settings = info.settings | {f"train.{key}": value for key, value in changed.items()}
    run.rewrite(info.model_copy(update={"facts": facts, "action": action, "settings": settings}))
    plan.context.notice(
        "from here on: " + ", ".join(f"{key} {before[key]} -> {now[key]}" for key in sorted(changed))
    )


def _free(settings: dict[str, Any]) -> dict[str, Any]:
    keys = {f"train.{key}": key for key in FREE}
    return {keys[name]: value for name, value in settings.items() if name in keys}
