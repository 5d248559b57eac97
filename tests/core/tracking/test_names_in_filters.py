"""Names in MLflow's own language of filters, in a real one: none is an error, and none finds another's record."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded_runs import make_run

from charpipe.errors import CharpipeError
from charpipe.tracking import Location, experiments, model_names
from charpipe.tracking.client import connect
from charpipe.tracking.corpora import experiment_of
from charpipe.tracking.metadata import CORPUS_TAG
from charpipe.tracking.sync import sync

ODD = [
    "it's",
    '"q"',
    "`x`",
    "a\\",
    "100%",
    "_",
    "' or '1'='1",
    "é",
    "\N{ROCKET}",
    "x" * 3000,
    "a\nb",
    " ",
    "%",
]
NAMES = st.text(min_size=1) | st.sampled_from(ODD)


@pytest.fixture
def client(location: Location) -> Any:
    there = connect(location)
    run = there.create_run(
        there.create_experiment("e"), tags={"charpipe.run": "20261123-1041-hello-lstm-7f3a"}
    )
    assert run.info.run_id
    return there


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(NAMES)
def test_a_run_is_looked_up_by_any_text(client: Any, name: str) -> None:
    assert experiments.find_run(client, name) is None
    begins = "20261123-1041-hello-lstm-7f3a".startswith(name)
    try:
        found = experiments.look_up(client, name, "here")
    except CharpipeError:
        assert not begins
    else:
        assert begins and found.data.tags["charpipe.run"].startswith(name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(NAMES)
def test_a_champion_is_looked_up_by_any_text(client: Any, corpus: str) -> None:
    name = model_names.model_name(corpus)
    if name not in model_names._tagged(client):
        client.create_registered_model(name, {CORPUS_TAG: corpus[:4000]})
    if len(corpus) < 4000:
        assert model_names.registered_name(client, corpus) == name


@pytest.mark.parametrize("corpus", ODD)
def test_a_run_of_a_corpus_of_any_name_is_logged(location: Location, tmp_path: Any, corpus: str) -> None:
    run = make_run(tmp_path / "runs", corpus=corpus)
    sync(location, run)
    client = connect(location)
    there = client.get_run(run.status.mlflow["run_id"])
    assert there.data.tags[CORPUS_TAG] == corpus
    assert there.info.experiment_id == experiment_of(client, location, corpus)
