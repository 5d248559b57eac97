from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charpipe.errors import Incomplete
from charpipe.events import TrainingStarted
from charpipe.stages import Context
from charpipe_2015.options import ReproduceOptions
from charpipe_pipelines.orchestration import run

pytestmark = [
    pytest.mark.e2e,
    # Prefect's, FastAPI's and websockets' own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]
Open = Callable[..., Context]


def reproduce_2015(options: ReproduceOptions, context: Context) -> dict[str, Any]:
    """What `charpipe run reproduce-2015` does, as JSON."""
    return run(context.registry.pipeline("reproduce-2015"), options, context).to_json()


DIGEST = "corpora__war_and_peace__sha256"


@pytest.fixture
def options(project: Path) -> ReproduceOptions:
    path = project / "text.txt"
    path.write_text("Well, Prince, so Genoa and Lucca are now just family estates.\n" * 40)
    return ReproduceOptions(experiments="paper", sizes="8", layers="1", corpora=f"war_and_peace={path}")


def test_a_task_each_text_and_model_and_the_same_again_trains_nothing(
    context: Open, server: Any, options: ReproduceOptions, heard: Any
) -> None:
    opened = context(**{DIGEST: None}, train__steps=2)
    found = reproduce_2015(options, opened)
    rows = {row["model"]: row for row in found["results"] if row["corpus"] == "war_and_peace"}
    assert list(rows) == ["lstm 1x8", "rnn 1x8", "gru 1x8", "ngram order 20", "best of the grid"]
    assert all(row["here"] is not None for row in rows.values())
    assert [row["published"] for row in rows.values()] == [None, None, None, 1.195, 1.077]
    assert "not in the catalogue" in found["results"][-1]["reason"]
    assert (Path(found["folder"]) / "reproduction.csv").is_file()
    trained = len(heard.of(TrainingStarted))

    again = reproduce_2015(options, context(**{DIGEST: None}, train__steps=2))
    assert again["results"] == found["results"]
    assert len(heard.of(TrainingStarted)) == trained == 4
    flow_run = next(run for run in server.flow_runs() if run["name"].startswith("2015"))
    tasks = {"prepare war_and_peace", "war_and_peace lstm 1x8 seed 1", "war_and_peace ngram"}
    assert tasks <= server.states(flow_run, tasks).keys()


def test_another_file_than_the_papers_is_a_failed_row_and_the_table_is_there(
    context: Open, options: ReproduceOptions
) -> None:
    with pytest.raises(Incomplete, match="1 row failed") as caught:
        reproduce_2015(options, context(train__steps=2))
    assert "not the stated" in caught.value.result.results[0].reason


def test_unknown_experiments_and_wrong_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="neither paper nor blog"):
        ReproduceOptions(experiments="papers")
    with pytest.raises(ValueError, match="is not NAME=PATH"):
        ReproduceOptions(corpora="war_and_peace")
