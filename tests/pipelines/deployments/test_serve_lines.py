"""What `charpipe serve` logs: the names that Prefect's page shows, and what was decided about the model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from charpipe.cli import main
from charpipe.plugins.registry import Registry
from charpipe.runs import list_runs
from charpipe_pipelines.deployments import registration
from charpipe_pipelines.deployments.catalogue import read_deployments
from charpipe_pipelines.deployments.console import Console
from charpipe_pipelines.deployments.dispatcher import Dispatcher
from charpipe_pipelines.server import become_client
from waiting import until

TABLE = """
[corpora.mine]
sources = ["text:abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc"]

[presets.small.train]
batch_size = 2

[deployments.nightly]
pipeline = "retrain"
corpus = "mine"
arch = "rnn"
preset = "small"

[deployments.nightly.settings]
train.steps = 3
train.window = 8
tracking.enabled = false
architectures.rnn.hidden_size = 8
sample.length = 10
"""


@pytest.mark.e2e
# Prefect's, FastAPI's and websockets' own
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_lines_name_what_the_page_names_and_say_what_was_decided(
    server: Any, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    become_client(server.workspace)
    (project / "pipelines.toml").write_text(TABLE)
    [deployment] = read_deployments(server.workspace, Registry())
    lines, heard = Console(json=False), []

    def tell(event: str, **facts: Any) -> None:
        heard.append(event)
        lines.report(event, **facts)

    environ = os.environ | {"CHARPIPE_HOME": str(server.workspace.root)}
    url = f"{server.managed.start()}/api"
    with registration.connect(url, retries=3) as client:
        serving = Dispatcher(server.workspace, {"retrain": str(deployment.pipeline.flow)}, environ, 1, tell)
        id_ = registration.register(client, deployment, server.workspace)
        serving.adopt(client, {id_: deployment}, url)
        flow_run = client.create_flow_run_from_deployment(id_)
        until(lambda: "ended" in heard, lambda: heard, lambda: serving.tick(client))
        shown = client.read_flow_run(flow_run.id).name
        client.delete_deployment(id_)
    assert shown == list_runs(server.workspace.runs)[-1].name  # the page calls it as the training run
    said = [line[10:] for line in capsys.readouterr().out.splitlines() if "nightly: " in line]
    assert f"nightly: started ({flow_run.name})" in said
    assert f"nightly: {flow_run.name} is now called {shown}" in said
    assert said[-1].startswith(f"nightly: {shown} completed after ")
    assert said[-1].endswith("; promoted: there was no champion") or "; promoted: " in said[-1]


def test_run_with_nobody_serving_names_the_command_with_all_settings(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "pipelines.toml").write_text(TABLE)
    assert main(["deployments", "run", "nightly"]) == 1
    said = capsys.readouterr().err
    assert "no process serves this workspace, so nightly would not start; type `charpipe serve`" in said
    assert "charpipe run retrain --corpus mine --arch rnn --preset small" in said
    for setting in ("train.steps=3", "train.window=8", "tracking.enabled=false", "sample.length=10"):
        assert f"--set {setting}" in said
