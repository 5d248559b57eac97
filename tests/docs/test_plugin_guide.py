"""The plugin of the guide works as the guide says: dropped into `plugins/`, listed, conforming, trained."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import charpipe
from charpipe.cli import main
from charpipe.cli.environment import open_workspace
from charpipe.generation import SampleConfig
from charpipe.generation.decoding import Decoding
from charpipe.kernels.jit.processor import this_processor
from charpipe.plugins.registry import Registry
from charpipe.reports.report import report
from charpipe.runs import find_run, read_metrics
from charpipe.testing import check_architecture
from charpipe.tracking import TrackingConfig, locate
from charpipe.tracking.client import connect
from charpipe.tracking.experiments import find_run as find_tracked
from charpipe.tracking.sync import sync

GUIDE = Path(__file__).parents[2] / "docs" / "plugins.md"


@pytest.fixture
def plugin(project: Path) -> Iterator[Path]:
    _, init, model, *_ = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    folder = project / "plugins" / "minimal_gru"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(init)
    (folder / "model.py").write_text(model)
    yield folder
    for name in [name for name in sys.modules if name.startswith("minimal_gru")]:
        del sys.modules[name]


def test_it_conforms(plugin: Path) -> None:
    check_architecture(Registry([plugin.parent]).architecture("minimal-gru"))


def test_it_trains(plugin: Path) -> None:
    settings = {"tracking.enabled": False, "train.steps": 3, "architectures.minimal-gru.hidden_size": 6}
    assert "minimal-gru" in charpipe.train("hello", arch="minimal-gru", settings=settings).name


@pytest.fixture
def cell(project: Path) -> Iterator[Path]:
    text, *_ = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    folder = project / "plugins"
    folder.mkdir()
    (folder / "minimal_gated.py").write_text(text)
    yield folder
    sys.modules.pop("minimal_gated", None)


def test_the_cell_conforms_and_trains_compiled(cell: Path) -> None:
    check_architecture(Registry([cell]).architecture("minimal-gated"))
    settings = {"tracking.enabled": False, "train.steps": 3, "architectures.minimal-gated.hidden_size": 6}
    trained = charpipe.train("hello", arch="minimal-gated", settings=settings)
    expected = "plain" if this_processor() is None else "fast"
    assert find_run(open_workspace().runs, trained.name).status.engine == expected


@pytest.fixture
def served(shared_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands use the workspace of a Prefect server that runs already."""
    shared_server.managed.start()
    monkeypatch.setenv("CHARPIPE_HOME", str(shared_server.workspace.root))


def test_the_cells_equations_are_shown(cell: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "info", "minimal-gated"]) == 0
    assert "hidden' = (1 - v1) * hidden + v1 * tanh(candidate)" in capsys.readouterr().out


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("z = sigmoid(gates.update)", "z = 1.0 if gates.update > 0 else 0.0", "decides by a value"),
        ('"update": BOTH', '"update": "both"', "INPUT, HIDDEN or BOTH"),
        ('return {"hidden"', 'return {"cell"', "does not return the state 'hidden'"),
        ("def step", "def stop", "no method `step"),
        ("tanh(gates.candidate)", "tanh(gates.candidate) * __import__('random').random()", "random numbers"),
    ],
)
def test_a_broken_cell_is_one_sentence(
    cell: Path,
    served: None,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    told: str,
) -> None:
    path = cell / "minimal_gated.py"
    path.write_text(path.read_text().replace(old, new))
    assert (
        main(["run", "train-and-sample", "--corpus", "hello", "--arch", "minimal-gated", "--steps", "1"]) == 1
    )
    error = capsys.readouterr().err
    assert "MinimalGated" in error and told in error and "Traceback" not in error


@pytest.mark.e2e
def test_what_cannot_be_compiled_trains_by_pytorch_and_says_why(
    cell: Path, served: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cell / "minimal_gated.py"
    path.write_text(
        path.read_text().replace("tanh(gates.candidate)", "__import__('torch').sin(gates.candidate)")
    )
    words = [
        "--corpus",
        "hello",
        "--arch",
        "minimal-gated",
        "--steps",
        "2",
        "--set",
        "tracking.enabled=false",
    ]
    assert (
        main(["run", "train-and-sample", *words, "--set", "architectures.minimal-gated.hidden_size=6"]) == 0
    )
    shown = "".join(capsys.readouterr())
    assert "torch's sin" in " ".join(shown.split()) and "minimal_gated.py, line 12" in " ".join(shown.split())


@pytest.fixture
def counted(project: Path) -> Iterator[Path]:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (text,) = [block for block in blocks if "def restore" in block]
    folder = project / "plugins"
    folder.mkdir()
    (folder / "frequencies.py").write_text(text)
    yield folder
    del sys.modules["frequencies"]


def test_its_counted_model_conforms_and_is_trained(counted: Path) -> None:
    check_architecture(Registry([counted]).architecture("frequencies"))
    run = charpipe.train(
        "hello", arch="frequencies", settings={"tracking.enabled": False, "sample.length": 5}
    )
    assert "frequencies" in run.name


def block_with(text: str) -> str:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if text in block]
    return found


@pytest.fixture
def metric(project: Path) -> Iterator[Path]:
    folder = project / "plugins"
    folder.mkdir()
    (folder / "weight_norm.py").write_text(block_with("def weight_norm"))
    yield folder
    del sys.modules["weight_norm"]


def test_metric_reaches_files_mlflow_and_report(metric: Path) -> None:
    settings = {"train.steps": 20, "architectures.rnn.hidden_size": 6, "train.evaluate_every": 5}
    (metric.parent / "text.txt").write_text("the quick brown fox jumps over the lazy dog. " * 90)
    trained = charpipe.train("text.txt", arch="rnn", settings=settings, progress=False)
    run = find_run(Path(".charpipe/runs"), trained.name)
    lines = list(read_metrics(run.metrics_file))
    assert [line["step"] for line in lines if "train/weight_norm" in line] == [10, 20]
    gaps = [line for line in lines if "val/generalization_gap" in line]
    assert [line["step"] for line in gaps] == [5, 10, 15, 20, 20]  # at the end, on the whole split
    metrics = run.status.metrics
    assert gaps[-1]["val/generalization_gap"] == metrics["val/loss"] - metrics["train/loss"]
    assert metrics["val/perplexity"] == math.exp(metrics["val/loss"])
    assert metrics["test/perplexity"] == math.exp(metrics["test/loss"])
    page = report(run)
    assert "train/weight_norm." in page
    assert "val/generalization_gap" in page
    location = locate(TrackingConfig(), open_workspace().mlflow)
    sync(location, run)  # whatever the tracker has not had the time for
    found = find_tracked(connect(location), run.name, None)
    assert found is not None
    kept = found.data.metrics
    assert {"train/grad_norm", "train/perplexity", "val/perplexity", "test/perplexity"} <= kept.keys()
    assert kept["val/generalization_gap"] == pytest.approx(gaps[-1]["val/generalization_gap"])
    (*_, last) = [line["train/weight_norm"] for line in lines if "train/weight_norm" in line]
    assert kept["train/weight_norm"] == pytest.approx(last)


def test_command_of_the_guide_runs(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = project / "plugins"
    folder.mkdir()
    (folder / "greeting.py").write_text(block_with("def greet"))
    assert main(["greet", "--name", "you"]) == 0
    assert capfd.readouterr().out == "hello you\n"
    del sys.modules["greeting"]


@pytest.fixture
def decoder(project: Path) -> Iterator[Path]:
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (text,) = [block for block in blocks if "Decoder" in block]
    folder = project / "plugins"
    folder.mkdir()
    (folder / "without_one.py").write_text(text)
    yield folder
    del sys.modules["without_one"]


def test_its_decoder_works(decoder: Path) -> None:
    settings = SampleConfig(temperature=1, decoders={"without": {"token": 1}})
    decoding = Decoding(settings, 3, Registry([decoder]).all("decoder"))
    assert {decoding.draw(np.zeros(3, np.float32)) for _ in range(50)} == {0, 2}


def test_its_decoder_is_found_by_a_run(decoder: Path) -> None:
    settings = {"tracking.enabled": False, "train.steps": 3, "architectures.rnn.hidden_size": 6}
    settings |= {"sample.decoders.without.token": 0, "sample.length": 50}
    sampled = charpipe.train("hello", arch="rnn", settings=settings).sample
    assert "e" not in sampled[1:]  # the first is any character: this corpus has no line break to begin after


def test_its_formula_is_the_same_in_numpy_and_compiled() -> None:
    pytest.importorskip("numba")
    from charpipe.kernels.step.decoders import apply_decoders, compile_formulas

    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (text,) = [block for block in blocks if "RowFormula" in block]
    scope: dict[str, Any] = {}
    exec(text, scope)
    formula = scope["choose_near"](SimpleNamespace(distance=1.5), 4)
    scores = np.array([1.0, 3.0, 2.0, 1.25])
    assert formula(scores).tolist() == [-np.inf, 3.0, 2.0, -np.inf]
    compiled = compile_formulas([formula])
    assert compiled is not None
    apply_decoders(scores, *compiled)
    assert scores.tolist() == [-np.inf, 3.0, 2.0, -np.inf]


def test_its_check_is_a_part_of_doctor(project: Path) -> None:
    (project / "plugins").mkdir()
    (project / "plugins" / "enough_memory.py").write_text(block_with("charpipe_checks"))
    [finding] = [one for one in charpipe.doctor().findings if one.check == "memory"]
    assert finding.level == "ok"
    assert finding.message.endswith(" GB of memory")
