"""The output of `charpipe serve`: one line, or one JSON object, per event."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import typer

from charpipe_pipelines.deployments.catalogue import Deployment


class Console:
    """A listener of the dispatcher that prints its events."""

    def __init__(self, *, json: bool) -> None:
        self._json = json

    def introduce(self, deployments: Sequence[Deployment]) -> None:
        """Print what will be served."""
        if self._json:
            return
        for one in deployments:
            when = str(one.config.schedule) if one.config.schedule else "only on demand"
            paused = "  (paused)" if one.config.paused else ""
            typer.echo(f"{one.name}  {one.pipeline.name}  {one.subject}  {when}{paused}")

    def report(self, event: str, **facts: Any) -> None:
        """Print one event."""
        if self._json:
            line: dict[str, Any] = {
                "event": event,
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            }
            typer.echo(json.dumps({**line, **facts}, default=str))
            return
        typer.echo(f"{time.strftime('%H:%M:%S')}  {_sentence(event, facts)}")


def _sentence(event: str, facts: dict[str, Any]) -> str:
    who = facts.get("deployment", "")
    match event:
        case "serving":
            page = str(facts["url"]).removesuffix("/api")
            return f"{'the server is back' if facts['again'] else 'serving'}: {page}/deployments"
        case "lost":
            return f"the Prefect server is gone ({facts['why']}); runs in progress continue; trying again"
        case "started":
            again = " again" if facts["run_count"] else ""
            return f"{who}: started{again} ({facts['flow_run']})"
        case "adopted":
            return f"{who}: still running ({facts['flow_run']}), started before this process"
        case "ended":
            message = f": {facts['message']}" if facts["message"] else ""
            after = f"; {facts['next']}" if "next" in facts else ""
            decision = f"; {facts['decision']}" if "decision" in facts else ""
            ended = f"{facts['state'].lower()} after {facts['seconds']:.0f} s"
            return f"{who}: {facts['flow_run']} {ended}{message}{decision}{after}"
        case "named":
            return f"{who}: {facts['before']} is now called {facts['flow_run']}"
        case "saving":
            return f"stopping: {facts['runs']} are saved first (Ctrl-C again exits at once; they are still saved)"
        case "skipped":
            return f"{who}: {facts['runs']} skipped: {facts['why']}"
        case "stopping" | "paused":
            return f"{who}: {event}: {facts['why']}"
        case "crashed":
            return f"{facts['flow_run']}: its process was killed; Prefect shows it as crashed"
        case _:
            return event
