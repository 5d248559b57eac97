"""Contexts as JSON: a machine with another workspace carries out what a command sends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from charpipe import stages
from charpipe.errors import PluginError, StoreError
from charpipe.runs import Run
from charpipe.stages import Stop, TrainRequest
from charpipe.stages.context import Context
from charpipe.stages.remote import describe, fetch_run, inputs, open_described, placed
from charpipe.workspace import cached_workspace

TEXT = "the quick brown fox jumps over the lazy dog. " * 40


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workspace of another machine; `placed` chooses it while the variable is set."""
    return tmp_path / "far" / "workspace"


def request_of(context: Context, corpus: str) -> dict[str, Any]:
    """What a command sends, through JSON."""
    documents = stages.ingest(context, corpus)
    vocabulary = stages.learn_vocabulary(context, corpus, documents)
    tokens = stages.encode(context, corpus, documents, vocabulary)
    found: dict[str, Any] = json.loads(
        json.dumps(describe(context, corpus, "rnn", tokens, vocabulary, {"train"}))
    )
    return found


def trained(request: dict[str, Any]) -> tuple[Context, stages.TrainedRun]:
    context = open_described(request, lambda event: None, Stop())
    wanted = request["corpus"][0]
    asked = TrainRequest(wanted, "rnn", options={"corpus": wanted, "arch": "rnn"})
    return context, stages.train(context, asked, *inputs(request))


def test_a_machine_with_a_workspace_of_its_own_trains_what_it_is_sent(
    open_context: Any, project: Path, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = project / "fox.txt"
    corpus.write_text(TEXT)
    here = open_context(store__url=(tmp_path / "store").as_uri())
    request = request_of(here, str(corpus))
    corpus.unlink()  # the other machine has no such file
    here.workspace.root.rename(tmp_path / "unreachable")
    monkeypatch.setenv("CHARPIPE_HOME", str(far))
    there, found = trained(placed(request))
    assert there.workspace.root == far and not (project / ".charpipe").exists()
    run = Run(far / found.path)
    assert run.info.corpus == "./fox.txt" and run.info.settings["tracking.enabled"] is False

    (tmp_path / "unreachable").rename(here.workspace.root)
    fetch_run(here, found.run)
    copy = Run(here.workspace.runs / found.run)
    assert copy.status.metrics == run.status.metrics and copy.info == run.info
    assert not list(copy.checkpoints.glob("*/model.safetensors"))  # fetched when it is needed
    assert here.runs.find(found.run, checkpoint="best").checkpoint("best").is_dir()


def test_the_run_of_another_workspace_is_published_by_the_command(
    open_context: Any, project: Path, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    (project / "fox.txt").write_text(TEXT)
    here = open_context(tracking__enabled=True, store__url=(tmp_path / "store").as_uri())
    request = request_of(here, "fox.txt")
    monkeypatch.setenv("CHARPIPE_HOME", str(far))
    _, found = trained(placed(request))
    assert not (far / "mlflow" / "mlflow.db").exists()
    fetch_run(here, found.run)
    client = mlflow.tracking.MlflowClient(f"sqlite:///{here.workspace.mlflow / 'mlflow.db'}")
    run_id = Run(here.workspace.runs / found.run).status.mlflow["run_id"]
    assert client.get_run(run_id).info.status == "FINISHED"


def test_without_a_shared_store_the_workspace_is_the_commands(
    open_context: Any, project: Path, far: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "fox.txt").write_text(TEXT)
    here = open_context()
    request = request_of(here, "fox.txt")
    monkeypatch.setenv("CHARPIPE_HOME", str(far))
    assert placed(request) == request
    gone = request | {"folder": str(project / "nowhere")}
    assert placed(gone)["folder"] == request["workspace"]
    _, found = trained(placed(request))
    assert Run(here.workspace.root / found.path).status.state == "finished"


def test_a_machine_without_the_workspace_uses_its_cache(
    open_context: Any, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "fox.txt").write_text(TEXT)
    url = (tmp_path / "store").as_uri()
    request = request_of(open_context(store__url=url), "fox.txt")
    monkeypatch.delenv("CHARPIPE_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert placed(request)["workspace"] == request["home"]
    (project / ".charpipe").rename(tmp_path / "unreachable")
    found = Path(placed(request)["workspace"])
    assert found == cached_workspace(url).root and found.is_relative_to(tmp_path / "cache") and found.is_dir()


def test_other_code_and_missing_tokens_are_errors(
    open_context: Any, project: Path, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "fox.txt").write_text(TEXT)
    request = request_of(open_context(store__url=(tmp_path / "store").as_uri()), "fox.txt")
    with pytest.raises(PluginError, match=r"has other code .* install the same version"):
        open_described(request | {"plugin": "0" * 64}, lambda event: None, Stop())
    monkeypatch.setenv("CHARPIPE_HOME", str(far))
    lost = request | {"tokens": request["tokens"] | {"digest": "0" * 64}}
    with pytest.raises(StoreError, match="neither in the workspace"):
        open_described(placed(lost), lambda event: None, Stop())
