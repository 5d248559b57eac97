"""Roll a champion back, by hand: to the one before it, or to a version."""

from __future__ import annotations

from charpipe.champions import promotion
from charpipe.champions.records import Champion
from charpipe.champions.state import read_state
from charpipe.events import Decided
from charpipe.stages.context import Context
from charpipe.stages.promote import publish_champions


def roll_back(context: Context, corpus: str, to: int | None = None, *, by: str = "user") -> Champion:
    """Roll back to the champion before the present one (or to version `to`); see `charpipe.champions.roll_back`."""
    shared = context.champions
    with promotion.deciding(
        context.workspace, corpus, lambda holder: context.notice(f"waiting for {holder}"), shared=shared
    ):
        if shared is not None:
            shared.versions.pull_descriptions(corpus)
        found = promotion.roll_back(context.workspace, corpus, to, by=by, shared=shared)
        state = read_state(context.workspace, corpus)
    if state is not None:
        before = (state.decision.get("champion") or {}).get("run")
        reason = str(state.decision["reason"])
        event = Decided(corpus, found.run, True, reason, found.version.version, before)
        context.registry.notify(event)
        context.emit(event)
    publish_champions(context, corpus)
    return found
