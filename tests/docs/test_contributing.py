"""Each recipe of CONTRIBUTING.md, followed in an empty project: one new file, and nothing that exists is edited."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charpipe.cli import main
from charpipe.stages import recipes
from documented import ROOT

pytestmark = pytest.mark.e2e

SMALL = [
    "--set",
    "train.steps=2",
    "--set",
    "train.batch_size=2",
    "--set",
    "train.window=8",
    "--set",
    "sample.length=5",
]
FILES = dict(
    re.findall(
        r"^`plugins/(\w+)\.py`:[^`]*?(?:`[^`]*`[^`]*?)*?^```python\n(.*?)^```",
        (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        re.DOTALL | re.MULTILINE,
    )
)


@pytest.fixture
def follow(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Writes the file of a recipe into the project. Pipelines run in this process, without Prefect."""
    monkeypatch.setattr(recipes, "run", recipes.run_directly)
    (project / "plugins").mkdir()
    (project / "mine.txt").write_text("the quick brown fox jumps over the lazy dog.\n" * 60)

    def write(name: str) -> None:
        (project / "plugins" / f"{name}.py").write_text(FILES[name], encoding="utf-8")

    yield write
    for name in FILES:
        sys.modules.pop(name, None)


def test_recipes_are_those_that_are_followed_here() -> None:
    assert set(FILES) == {"relu_rnn", "excess", "count_documents", "hello_command", "memory_store"}


def test_architecture_conforms_and_trains(follow: Callable[[str], None]) -> None:
    from charpipe.testing import check_architecture

    follow("relu_rnn")
    check_architecture("relu-rnn")
    words = ["run", "train-and-sample", "--corpus", "mine.txt", "--arch", "relu-rnn"]
    assert (
        main(
            [
                *words,
                "--set",
                "tracking.enabled=false",
                "--set",
                "architectures.relu-rnn.hidden_size=8",
                *SMALL,
            ]
        )
        == 0
    )


def test_metric_is_reported(follow: Callable[[str], None], capfd: pytest.CaptureFixture[str]) -> None:
    follow("excess")
    words = ["run", "train-and-sample", "--corpus", "mine.txt", "--arch", "rnn", "--json"]
    assert (
        main([*words, "--set", "tracking.enabled=false", "--set", "architectures.rnn.hidden_size=8", *SMALL])
        == 0
    )
    metrics = json.loads(capfd.readouterr().out.splitlines()[-1])["metrics"]
    assert metrics["val/excess"] == pytest.approx(metrics["val/loss"] - 1)


def test_stage_and_pipeline_run(follow: Callable[[str], None], capfd: pytest.CaptureFixture[str]) -> None:
    follow("count_documents")
    assert main(["run", "count-documents", "--corpus", "mine.txt", "--json"]) == 0
    found = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert found["documents"] == 1


def test_command_runs(follow: Callable[[str], None], capfd: pytest.CaptureFixture[str]) -> None:
    follow("hello_command")
    assert main(["greet", "--name", "you"]) == 0
    assert capfd.readouterr().out == "hello you\n"


def test_storage_backend_is_shared(follow: Callable[[str], None], capfd: pytest.CaptureFixture[str]) -> None:
    follow("memory_store")
    words = ["run", "retrain", "--dry-run"]
    assert main([*words, "--corpus", "mine.txt", "--set", "store.url=memri://team"]) == 2
    assert "did you mean 'memory'?" in capfd.readouterr().err
    encode = [
        "run",
        "train-and-sample",
        "--corpus",
        "mine.txt",
        "--arch",
        "ngram",
        "--set",
        "tracking.enabled=false",
    ]
    assert main([*encode, "--set", "store.url=memory://team", *SMALL]) == 0
    content = sys.modules["memory_store"].STORES["memory://team"].content
    assert {key.partition("/")[0] for key in content} >= {
        "objects",
        "actions",
        "lineage",
        "index",
        "leases",
        "marks",
    }
    assert main(["gc", "--set", "store.url=memory://team", "--dry-run"]) == 0
