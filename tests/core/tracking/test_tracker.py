from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import history, write_checkpoint

from charpipe.errors import CharpipeError
from charpipe.events import Checkpointed, Event, Notice
from charpipe.runs import Recorder, Run
from charpipe.tracking import Location, TrackingConfig
from charpipe.tracking.client import connect
from charpipe.tracking.logged_models import of_run
from charpipe.tracking.sync import catch_up, sync
from charpipe.tracking.tracker import MlflowTracker
from waiting import until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def train(run: Run, tracker: MlflowTracker, events: list[Event]) -> None:
    recorder = Recorder(run)
    for event in events:
        recorder(event)
        tracker(event)


def everything(location: Location, run: Run) -> dict[str, Any]:
    """All that MLflow has of a run, without what changes from time to time."""
    client = connect(location)
    ids = run.status.mlflow
    found = client.get_run(ids["run_id"])
    points = {
        (key, metric.step, metric.value, metric.timestamp)
        for key in found.data.metrics
        for metric in client.get_metric_history(ids["run_id"], key)
    }
    counted = sum(len(client.get_metric_history(ids["run_id"], key)) for key in found.data.metrics)
    models = of_run(client, ids["experiment_id"], ids["run_id"])
    return {
        "status": found.info.status,
        "params": found.data.params,
        "tags": found.data.tags,
        "points": points,
        "counted": counted,
        "datasets": [one.dataset.name for one in found.inputs.dataset_inputs],
        "models": {role: (model.model_id, len(model.metrics or [])) for role, model in models.items()},
        "samples": sorted(item.path for item in client.list_artifacts(ids["run_id"], "samples")),
        "plots": [item.path for item in client.list_artifacts(ids["run_id"], "plots")],
    }


def test_a_run_is_all_there(run: Run, location: Location, config: TrackingConfig) -> None:
    told: list[Event] = []
    tracker = MlflowTracker(location, config, run, told.append)
    tracker.start()
    train(run, tracker, history(run))
    assert tracker.finish("finished")
    assert told == []
    found = everything(location, run)
    assert found["status"] == "FINISHED"
    assert found["params"]["train.batch_size"] == "4"
    assert found["params"]["model.hidden_size"] == "8"
    assert "tracking.uri" not in found["params"]
    assert found["tags"]["charpipe.run"] == run.name
    assert found["tags"]["charpipe.tokens"] == "f" * 64
    assert found["tags"]["charpipe.plugin.lstm"] == f"charpipe_lstm 0.1.0 {'9' * 64}"
    assert sorted(found["datasets"]) == ["hello train", "hello val"]
    assert {(key, step) for key, step, _, _ in found["points"]} >= {
        ("train/loss", 10),
        ("val/loss", 20),
        ("val/bits_per_char", 10),
    }
    assert found["samples"] == [
        "samples/evolution.md",
        "samples/samples.jsonl",
        "samples/step-00000010.txt",
        "samples/step-00000020.txt",
    ]
    assert found["plots"] == ["plots/losses.svg"]
    assert set(found["models"]) == {"best", "last"}
    assert all(metrics > 0 for _, metrics in found["models"].values())


def test_sync_fills_everything_and_twice_is_the_same_as_once(finished_run: Run, location: Location) -> None:
    assert sync(location, finished_run) > 0
    once = everything(location, finished_run)
    assert sync(location, finished_run) == 0
    assert everything(location, finished_run) == once
    assert once["counted"] == len(once["points"])


def test_scores_that_come_later_and_a_new_last_checkpoint_are_added(
    finished_run: Run, location: Location
) -> None:
    sync(location, finished_run)
    before = everything(location, finished_run)
    recorder = Recorder(finished_run)
    recorder(Checkpointed(30, str(write_checkpoint(finished_run, 30)), best=False))
    assert sync(location, finished_run) == 0
    after = everything(location, finished_run)
    assert after["models"]["last"][0] != before["models"]["last"][0]
    assert after["models"]["best"] == before["models"]["best"]


def test_a_resumed_run_goes_on_in_the_same_mlflow_run(
    run: Run, location: Location, config: TrackingConfig
) -> None:
    events = history(run)
    first = MlflowTracker(location, config, run, lambda event: None)
    first.start()
    train(run, first, events[: len(events) // 2])
    first.finish("interrupted")
    interrupted = everything(location, run)
    assert interrupted["status"] == "KILLED"
    Recorder(run).rewind(10)
    second = MlflowTracker(location, config, run, lambda event: None)
    second.start()
    train(run, second, events[len(events) // 2 :])
    assert second.finish("finished")
    found = everything(location, run)
    assert found["status"] == "FINISHED"
    assert found["points"] > interrupted["points"]
    assert len({(key, step) for key, step, _, _ in found["points"]}) == found["counted"]


def test_mlflow_away_never_stops_training_and_is_told_once(
    run: Run, tmp_path: Path, make_location: Callable[[Path], Location]
) -> None:
    away = Location("http://127.0.0.1:9", None, tmp_path / "mlflow", "[tracking] uri")
    told: list[Event] = []
    tracker = MlflowTracker(away, TrackingConfig(interval=0.1, patience=0.5), run, told.append)
    tracker.start()
    train(run, tracker, history(run))
    assert not tracker.finish("finished")
    assert [type(event) for event in told] == [Notice]
    assert f"charpipe runs sync {run.name}" in told[0].message  # type: ignore[attr-defined]
    back = make_location(tmp_path / "back")
    assert sync(back, run) > 0
    assert everything(back, run)["status"] == "FINISHED"


def test_a_locked_database_is_waited_for(
    run: Run, location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charpipe.tracking.client.BUSY_SECONDS", 0.5)
    blocker = sqlite3.connect(location.folder / "mlflow.db", isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN EXCLUSIVE")
    told: list[Event] = []
    tracker = MlflowTracker(location, TrackingConfig(interval=0.1, patience=60), run, told.append)
    tracker.start()
    train(run, tracker, history(run))
    until(lambda: tracker._trouble)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert tracker.finish("finished")
    assert len(told) == 1
    assert everything(location, run)["status"] == "FINISHED"


def test_a_run_that_was_deleted_in_mlflow_is_made_again(finished_run: Run, location: Location) -> None:
    sync(location, finished_run)
    first = finished_run.status.mlflow["run_id"]
    connect(location).delete_run(first)
    assert sync(location, finished_run) > 0
    assert finished_run.status.mlflow["run_id"] != first


def test_sync_says_what_is_wrong_and_catch_up_only_mentions_it(
    finished_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Location("http://127.0.0.1:9", None, tmp_path / "mlflow", "[tracking] uri")
    with pytest.raises(CharpipeError, match=r"http://127\.0\.0\.1:9 is unavailable"):
        sync(away, finished_run)
    told: list[Event] = []
    catch_up(away, finished_run, told.append)
    assert [type(event) for event in told] == [Notice]


def test_a_step_costs_training_next_to_nothing(run: Run, tmp_path: Path) -> None:
    """The listener itself talks to nobody, whatever MLflow does meanwhile."""
    away = Location("http://10.255.255.1:9", None, tmp_path / "mlflow", "[tracking] uri")
    tracker = MlflowTracker(away, TrackingConfig(interval=0.1, patience=0), run, lambda event: None)
    for event in history(run):
        tracker(event)
    assert not (tmp_path / "mlflow").exists()
