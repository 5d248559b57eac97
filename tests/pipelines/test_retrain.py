"""A night's work as a real Prefect flow: skipped where nothing changed, its decision told as an event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charpipe.errors import InterruptedRun
from charpipe.events import Step
from charpipe.runs import find_run
from charpipe.stages import Context
from charpipe_pipelines.options import RetrainOptions
from charpipe_pipelines.orchestration import run
from waiting import until

pytestmark = [
    pytest.mark.e2e,
    # Prefect's, FastAPI's and websockets' own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
Open = Callable[..., Context]


def retrain(options: RetrainOptions, context: Context) -> dict[str, Any]:
    """What `charpipe run retrain` does, as JSON."""
    return run(context.registry.pipeline("retrain"), options, context).to_json()


def _told(server: Any, event: str) -> list[str]:
    """The runs that such events name; the server takes its time to keep what it is told."""
    wanted = {"filter": {"event": {"name": [event]}}}
    return [one["payload"]["run"] for one in until(lambda: server.ask("/events/filter", wanted)["events"])]


def test_nights_in_prefect(context: Open, server: Any, tmp_path: Path) -> None:
    text = tmp_path / "nights.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 90)
    options = RetrainOptions(corpus=str(text), arch="rnn")
    first = retrain(options, context())
    assert first["promoted"]
    assert first["run"] in _told(server, "charpipe.model.promoted")
    stages = {
        "refresh", "ingest", "vocabulary", "encode", "train", "evaluate", "sample", "promote", "report",
    }  # fmt: skip
    assert server.states(server.flow_runs()[0], stages).keys() == stages

    skipped = retrain(options, context())
    assert skipped["skipped"] and skipped["champion"] == first["run"]
    run = server.flow_runs()[0]
    assert (run["state_name"], run["state_type"]) == ("Skipped", "COMPLETED")

    text.write_text("the quick brown fox jumps over the lazy dog. " * 100 + "Ž")
    stopped = context()
    tell = stopped.emit

    def stop(event: Any) -> None:
        if isinstance(event, Step):
            stopped.stop.request(15)
        tell(event)

    stopped = replace(stopped, emit=stop)
    with pytest.raises(InterruptedRun):
        retrain(options, stopped)
    assert server.flow_runs()[0]["state_type"] == "CANCELLED"
    resumed = retrain(options, context())
    assert resumed["resumed"] and resumed["started_from"] == first["run"]
    info = find_run(context().workspace.runs, resumed["run"]).info
    assert info.parent == first["run"]
