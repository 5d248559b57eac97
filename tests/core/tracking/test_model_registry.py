"""MLflow's registry follows the workspace's champions, whatever befell it before; what it holds serves by itself."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from charpipe import champions, stages
from charpipe.champions.state import champion_folder
from charpipe.errors import CharpipeError, RunError
from charpipe.events import Notice
from charpipe.plugins.registry import Registry
from charpipe.stages import Context, TrainRequest
from charpipe.stages.promote import publish_champions
from charpipe.stages.rollback import roll_back
from charpipe.tracking import Location, TrackingConfig, locate, model_names, registry
from charpipe.tracking.client import connect
from charpipe.tracking.models import find_model
from waiting import LIMIT, until

CORPUS = "./mine.txt"
NAME = model_names.model_name(CORPUS)
TEXT = "the quick brown fox jumps over the lazy dog. " * 60


@pytest.fixture
def tracked(
    project: Path, open_context: Any, make_location: Callable[[Path], Location]
) -> Callable[..., Context]:
    """Opens contexts whose workspace has an MLflow of its own."""
    (project / CORPUS).write_text(TEXT)
    make_location(project / ".charpipe" / "mlflow")
    return lambda **settings: open_context(tracking__enabled=True, **settings)


def challenge(context: Context, anyway: bool = True) -> stages.Promotion:
    documents = stages.ingest(context, CORPUS)
    vocabulary = stages.learn_vocabulary(context, CORPUS, documents)
    tokens = stages.encode(context, CORPUS, documents, vocabulary)
    trained = stages.train(context, TrainRequest(CORPUS, "rnn"), tokens, vocabulary)
    return stages.promote(context, trained, tokens, anyway=anyway)


def place(context: Context) -> Location:
    return locate(context.config.tracking, context.workspace.mlflow)


def known(context: Context) -> tuple[dict[str, str], dict[str, str]]:
    """Each alias's charpipe version, and the run of every registered version."""
    client = connect(place(context))
    versions = {str(one.version): one.tags for one in client.search_model_versions(f"name='{NAME}'")}
    aliases = client.get_registered_model(NAME).aliases
    return (
        {alias: versions[str(number)]["charpipe.version"] for alias, number in aliases.items()},
        {tags["charpipe.version"]: tags["charpipe.run"] for tags in versions.values()},
    )


def test_versions_and_aliases_follow_promotion_and_rollback(tracked: Any) -> None:
    context = tracked(train__steps=3)
    first = challenge(context)
    second = challenge(tracked(train__steps=4))
    assert known(context) == ({"champion": "2", "previous": "1"}, {"1": first.run, "2": second.run})
    roll_back(context, CORPUS)
    assert known(context)[0] == {"champion": "1"}
    assert registry.follow(place(context), context.workspace, CORPUS) == 0
    client = connect(place(context))
    version = client.get_model_version_by_alias(NAME, "champion")
    info = context.workspace.runs / first.run / "run.json"
    inputs = json.loads(info.read_text())["inputs"]
    for name in ("documents", "vocabulary", "tokens"):
        assert version.tags[f"charpipe.{name}"] == inputs[name]
    assert version.tags["charpipe.code.rnn"]
    assert version.tags["charpipe.reason"] == "there was no champion"
    run = client.get_run(version.run_id)
    assert run.data.tags["charpipe.run"] == first.run


@pytest.mark.parametrize(
    "step",
    ["create_registered_model", "log_model_artifacts", "create_model_version", "set_registered_model_alias"],
)
def test_a_registry_that_fails_half_way_is_mended_by_the_next_run(
    tracked: Any, heard: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    def fail(*_: object, **__: object) -> None:
        raise MlflowException("database is locked")

    context = tracked(train__steps=3)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, fail)
        promoted = challenge(context)
    assert promoted.promoted
    assert champions.champion(context.workspace, CORPUS).run == promoted.run  # type: ignore[union-attr]
    warnings = [event.message for event in heard.of(Notice) if event.level == "warning"]
    assert any(
        "the champion of ./mine.txt is not in MLflow's registry yet" in message for message in warnings
    )
    assert challenge(tracked(train__steps=3), anyway=False).reused
    assert known(context) == ({"champion": "1"}, {"1": promoted.run})


def test_with_mlflow_out_of_reach_the_champion_is_champion(tracked: Any, heard: Any) -> None:
    context = tracked(train__steps=3, tracking__uri="http://127.0.0.1:9", tracking__patience=0)
    promoted = challenge(context)
    assert champions.champion(context.workspace, CORPUS).run == promoted.run  # type: ignore[union-attr]
    assert any("is not in MLflow's registry yet" in event.message for event in heard.of(Notice))


def test_what_is_told_is_not_told_again(tracked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context = tracked(train__steps=3)
    challenge(context)

    def never(*_: object) -> None:
        raise AssertionError("MLflow was asked although it knows")

    monkeypatch.setattr(registry, "connect", never)
    publish_champions(context, CORPUS)


def test_a_model_that_is_kept_no_more_is_taken_back(tracked: Any) -> None:
    context = tracked(train__steps=3)
    for steps in (3, 4, 5):
        challenge(tracked(train__steps=steps))
    client = connect(place(context))
    (source,) = (
        one.source for one in client.search_model_versions(f"name='{NAME}'") if one.version in (1, "1")
    )
    assert registry._local(source).is_dir()
    shutil.rmtree(champion_folder(context.workspace, CORPUS) / "versions" / "0001")
    publish_champions(context, CORPUS)
    assert sorted(known(context)[1]) == ["2", "3"]
    assert not registry._local(source).exists()


def test_the_champion_comes_from_the_tracking_uri_alone(tracked: Any, tmp_path: Path) -> None:
    context = tracked(train__steps=3)
    promoted = challenge(context)
    there = TrackingConfig(uri=place(context).uri)
    elsewhere = type(context.workspace)(tmp_path / "another machine")
    loaded = find_model("champion:./mine.txt", elsewhere, Registry(), there)
    ours = find_model("champion:mine.txt", context.workspace, Registry(), context.config.tracking)
    weights = [one.model.network.state_dict() for one in (loaded, ours)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[1])
    assert promoted.promoted
    with pytest.raises(RunError, match=r"has no previous of './mine.txt'"):
        find_model("previous:./mine.txt", elsewhere, Registry(), there)
    for path in context.workspace.mlflow.rglob("bundle/model.safetensors"):
        path.write_bytes(b"something else")
    shutil.rmtree(elsewhere.root)
    with pytest.raises(CharpipeError, match="does not match its recorded digest"):
        find_model("champion:./mine.txt", elsewhere, Registry(), there)


def post(port: int, question: dict[str, Any]) -> Any:
    data = json.dumps(question).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", data, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=LIMIT) as response:
        return json.load(response)["predictions"]


@pytest.fixture
def served(tracked: Any, tmp_path: Path) -> Iterator[tuple[Context, int]]:
    """The champion behind plain `mlflow models serve`, where no accelerator is to be seen."""
    context = tracked(train__steps=60)
    challenge(context)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "mlflow", "models", "serve", "--env-manager", "local", "--port", str(port)]
    words += ["--model-uri", f"models:/{NAME}@champion"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # it calls uvicorn by its name
        "MLFLOW_TRACKING_URI": place(context).uri,
        "CUDA_VISIBLE_DEVICES": "",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    log = tmp_path / "serve.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [sys.executable, *words],
            env=environment,
            cwd=tmp_path,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as server,
    ):
        try:

            def answers() -> bool:
                assert server.poll() is None, log.read_text()
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=30):
                        return True
                except OSError:
                    return False

            until(answers, log.read_text)
            yield context, port
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, 15)
            server.wait(LIMIT)


@pytest.mark.e2e
def test_the_champion_serves_with_plain_mlflow(served: tuple[Context, int]) -> None:
    from charpipe.config.settings.sampling import SampleConfig
    from charpipe.evaluation import score_text
    from charpipe.generation import sample

    context, port = served
    loaded = find_model("champion:mine.txt", context.workspace, Registry(), context.config.tracking)
    predictor = loaded.predictor("cpu")
    (written,) = post(
        port,
        {"dataframe_records": [{"prompt": "the "}], "params": {"length": 40, "temperature": 0.5, "seed": 7}},
    )
    wanted = SampleConfig(prompt="the ", length=40, temperature=0.5, seed=7)
    assert written["text"] == sample(predictor, loaded.encoding, wanted, Registry().all("decoder"))
    assert len(written["text"]) == 44
    scored = post(port, {"dataframe_records": [{"text": "the lazy dog"}, {"text": "the quick fox"}]})
    for row in scored:
        expected = score_text(predictor, loaded.encoding, row["text"])
        assert row["bits_per_char"] == pytest.approx(expected.bits_per_char)
        assert row["nats"] == pytest.approx(expected.nats)
