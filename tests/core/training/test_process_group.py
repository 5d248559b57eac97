"""One training by 1, 2 and 4 worker processes: the same bits, whoever resumes whose checkpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import worker_process

pytestmark = pytest.mark.e2e
WORKERS = Path(worker_process.__file__)
NEW = [
    {"name": "fast", "settings": {"engine": "fast", "precision": "float32"}},
    {"name": "plain", "settings": {"engine": "plain", "precision": "float32", "average": 0.9}},
    {"name": "plain bfloat16", "settings": {"engine": "plain", "precision": "bfloat16"}},
    {"name": "gru", "arch": "gru", "settings": {"engine": "fast", "optimizer": "sgd", "momentum": 0.5}},
    {"name": "twelve", "settings": {"batch_size": 12, "shards": 12, "engine": "fast", "clip": 0.01}},
]
"""What each number of workers trains from the start. The engine `fast` multiplies bfloat16 on few processors."""
PATHS = {"up": (1, 2, 4), "down": (4, 2, 1), "by three": (2, 3, 1)}
"""By how many workers the parts of a resumed training are made: its name, and their numbers."""
STOPS = (4, 9, None)
LOST = {"name": "lost", "settings": NEW[0]["settings"] | {"checkpoint_every": 3}, "dies": 12}
"""Each update is one order, and each checkpoint one more: it ends in an update after the checkpoint of the sixth."""
INTERRUPTED = {"name": "asked", "settings": {"engine": "fast"}, "stops": 4}


def resumed(path, part):
    shards = {"batch_size": 12, "shards": 12} if 3 in PATHS[path] else {}
    before = {"resume": f"{path} {part - 1}"} if part else {}
    settings = {"engine": "fast", "schedule": "cosine", **shards}
    return {"name": f"{path} {part}", "settings": settings, "stop_at": stop_after(part), **before}


def stop_after(part):
    """Updates of a part, after which it is stopped."""
    return None if STOPS[part] is None else STOPS[part] - (STOPS[part - 1] if part else 0)


def launches():
    """Who trains what, in this order."""
    found = []
    for part in range(len(STOPS)):
        for size in (1, 2, 3, 4):
            mine = [resumed(path, part) for path, sizes in PATHS.items() if sizes[part] == size]
            if part == 0:
                mine += [each for each in NEW if size != 3 or each["name"] == "twelve"]
            if mine:
                found.append((size, mine))
    found.append((2, [LOST]))
    found.append((1, [{"name": "found", "settings": LOST["settings"], "resume": "lost"}]))
    found.append((2, [INTERRUPTED]))
    return [*found, (1, [dict(resumed(path, 0), name=f"{path} whole", stop_at=None) for path in PATHS])]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What came of each training, by its name and by how many workers trained it."""
    folder = tmp_path_factory.mktemp("workers")
    named = [
        (size, [{**each, "name": f"{each['name']} by {size}"} if each in NEW else each for each in mine])
        for size, mine in launches()
    ]
    (folder / "launches.json").write_text(json.dumps(named))
    environment = os.environ | {"PYTHONPATH": str(WORKERS.parents[2])}
    subprocess.run([sys.executable, WORKERS, folder], env=environment, check=True)
    return {
        path.stem: json.loads(path.read_text())
        for path in folder.glob("*.json")
        if "launches" not in path.name
    }


@pytest.mark.parametrize("name", [each["name"] for each in NEW])
def test_any_number_of_workers_gives_the_same_bits(trained, name):
    alone, *others = [
        trained[f"{name} by {size}"] for size in ((1, 2, 3, 4) if name == "twelve" else (1, 2, 4))
    ]
    assert len(alone["losses"]) == 12
    assert others == [alone] * len(others)


@pytest.mark.parametrize("path", PATHS)
def test_any_number_of_workers_resumes_any_checkpoint(trained, path):
    parts = [trained[f"{path} {part}"] for part in range(len(STOPS))]
    whole = trained[f"{path} whole"]
    assert [part["reason"] for part in parts] == ["interrupted", "interrupted", "steps"]
    assert [part["step"] for part in parts] == [4, 9, 12]
    assert [loss for part in parts for loss in part["losses"]] == whole["losses"]
    assert parts[-1]["weights"] == whole["weights"]


def test_lost_worker_ends_the_training_and_keeps_the_last_checkpoint(trained):
    assert "another worker ended or did not answer" in trained["lost"]["error"]
    assert (
        "with any number of workers that divides train.shards, type: charpipe resume"
        in trained["lost"]["error"]
    )
    whole = trained["fast by 1"]
    assert trained["found"]["losses"] == whole["losses"][-len(trained["found"]["losses"]) :]
    assert trained["found"]["weights"] == whole["weights"]
    assert len(trained["found"]["losses"]) <= 6  # at most one interval was lost


def test_request_to_one_worker_stops_all_at_one_step(trained):
    asked = trained["asked"]
    assert asked["reason"] == "interrupted"
    assert asked["step"] == len(asked["losses"]) == 4
