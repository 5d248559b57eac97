"""A deployed training, killed, cancelled and retried: what it had saved is what it goes on from."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from charpipe.plugins.registry import Registry
from charpipe.runs import Run, list_runs
from charpipe_pipelines.deployments import dispatcher as dispatching
from charpipe_pipelines.deployments import registration
from charpipe_pipelines.deployments.catalogue import entrypoint, read_deployments
from charpipe_pipelines.deployments.dispatcher import Dispatcher
from charpipe_pipelines.server import become_client
from waiting import until

pytestmark = [
    pytest.mark.e2e,
    # Prefect's, FastAPI's and websockets' own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
TASKS = {"ingest", "vocabulary", "encode", "train"}
TABLE = """
[corpora.mine]
sources = ["text:abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc"]

[deployments.nightly]
pipeline = "train-and-sample"
corpus = "mine"
arch = "rnn"
retries = 1

[deployments.nightly.settings]
train.steps = 1000000
train.max_epochs = 1e9
train.batch_size = 2
train.window = 8
train.checkpoint_every = 1000
tracking.enabled = false
architectures.rnn.hidden_size = 8
sample.length = 40
"""


def test_killed_cancelled_and_retried(server: Any, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    become_client(server.workspace)
    monkeypatch.setattr(dispatching, "RETRY_SECONDS", 0.0)
    (project / "pipelines.toml").write_text(TABLE)
    [deployment] = read_deployments(server.workspace, Registry())
    heard: list[dict[str, Any]] = []

    def tell(event: str, **facts: Any) -> None:
        heard.append({"event": event, **facts})

    before = {run.name for run in list_runs(server.workspace.runs)}
    environ = os.environ | {"CHARPIPE_HOME": str(server.workspace.root)}
    flows = {deployment.pipeline.name: entrypoint(deployment.pipeline)}
    with registration.connect(f"{server.managed.start()}/api", retries=3) as client:
        serving = Dispatcher(server.workspace, flows, environ, 1, tell)
        id_ = registration.register(client, deployment, server.workspace)
        serving.adopt(client, {id_: deployment}, f"{server.managed.start()}/api")
        flow_run = client.create_flow_run_from_deployment(id_).id

        def saved_beyond(step: int) -> Run | None:
            new = [run for run in list_runs(server.workspace.runs) if run.name not in before]
            last = new[0].status.last if new else None
            return new[0] if last is not None and last["step"] > step else None

        def tick() -> None:
            serving.tick(client)

        def ends() -> list[dict[str, Any]]:
            return [one for one in heard if one["event"] == "ended"]

        run = until(lambda: saved_beyond(0), lambda: heard, tick)
        os.kill(serving.processes[flow_run].pid, signal.SIGKILL)
        until(ends, lambda: heard, tick)
        assert ends()[0]["state"] == "Crashed"
        assert set(server.states({"id": str(flow_run)}, TASKS).values()) == {"Completed", "Crashed"}
        saved = run.status.last["step"]
        measured = lines_up_to(run, saved)
        assert measured

        # it goes on by itself, from there
        until(lambda: saved_beyond(saved), lambda: heard, tick)
        assert lines_up_to(run, saved) == measured
        server.ask(f"/flow_runs/{flow_run}/set_state", {"state": {"type": "CANCELLING"}})
        until(lambda: len(ends()) == 2, lambda: heard, tick)
        assert (ends()[1]["state"], run.status.state) == ("Cancelled", "interrupted")
        assert client.read_flow_run(flow_run).name == run.name
        cancelled = run.status.last["step"]
        assert cancelled == run.status.step  # Cancel saved first

        retry = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
        server.ask(f"/flow_runs/{flow_run}/set_state", retry)
        until(lambda: saved_beyond(cancelled), lambda: heard, tick)
        server.ask(f"/flow_runs/{flow_run}/set_state", {"state": {"type": "CANCELLING"}})
        until(lambda: len(ends()) == 3, lambda: heard, tick)
        assert len({one.name for one in list_runs(server.workspace.runs)} - before) == 1
        client.delete_deployment(id_)


def lines_up_to(run: Run, step: int) -> list[str]:
    """What was measured until a step, each line with its moment: the same afterwards, unless it was learnt anew."""
    return [line for line in run.metrics_file.read_text().splitlines() if json.loads(line)["step"] <= step]
