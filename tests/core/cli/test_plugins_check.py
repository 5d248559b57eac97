"""`charpipe plugins check`: broken rules in words, a short training, and the speed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from charpipe.cli import main
from charpipe.cli.plugins_check import Checked, lines
from charpipe.plugins.registry import Registry
from charpipe.testing.trial import try_training

CELL = """
from charpipe.plugin import BOTH, Architecture, Cell, hookimpl, tanh

class Explosive(Cell):
    gates = {"all": BOTH}
    state = ("hidden",)
    def step(self, gates, state):
        return {"hidden": STEP}

@hookimpl
def charpipe_architectures():
    return [Architecture("NAME", "", cell=Explosive)]
"""


@pytest.fixture
def plugins(project: Path) -> Iterator[Path]:
    folder = project / "plugins"
    folder.mkdir()
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if (folder / f"{name}.py").exists():
            del sys.modules[name]


def write(plugins: Path, name: str, step: str) -> None:
    (plugins / f"{name}.py").write_text(CELL.replace("NAME", name).replace("STEP", step))


def test_a_cell_is_checked_trained_and_measured(plugins: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(plugins, "good_cell", "tanh(gates.all)")
    assert main(["plugins", "check", "good-cell"]) == 0
    said = capfd.readouterr().out
    assert "architecture good_cell  (plugins/good_cell.py)" in said
    assert "14 rules: build, " in said
    assert "20 steps of good_cell 1x128" in said
    assert "gru 1x128: " in said


def test_a_broken_cell_is_said_with_rule_and_place(plugins: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(plugins, "bad_cell", "gates.all / state.hidden")
    assert main(["plugins", "check"]) == 1
    said = capfd.readouterr().out
    assert "broken  finite: Logits and gradients are finite." in said
    assert "seen    logits are not finite" in said
    assert "where   plugins/bad_cell.py:7, in Explosive.step" in said


def test_a_step_that_raises_is_said_with_its_line(plugins: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(plugins, "odd_cell", "gates.nothing")
    assert main(["plugins", "check", "odd_cell", "--json"]) == 1
    (checked,) = json.loads(capfd.readouterr().out)
    assert checked["broken"]
    rule = next(rule for rule in checked["rules"] if rule["seen"])
    assert "nothing" in rule["seen"]


def test_a_plugin_that_cannot_be_loaded_is_said(plugins: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (plugins / "torn.py").write_text("def oh(:\n")
    assert main(["plugins", "check", "torn"]) == 1
    assert "it cannot be used: SyntaxError" in capfd.readouterr().out


def test_unknown_names_and_no_plugins_are_refused(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "check"]) == 2
    assert "type: charpipe plugins new cell NAME" in capfd.readouterr().err
    assert main(["plugins", "check", "lsmt"]) == 2
    assert "did you mean 'lstm'?" in capfd.readouterr().err
    assert main(["plugins", "check", "nope"]) == 2
    known = capfd.readouterr().err.partition("known: ")[2].strip().split(", ")
    assert "lstm" in known
    assert not {"doctor", "corpora", "gpu", "credentials"} & set(known)


def test_the_training_lowers_the_loss() -> None:
    registry = Registry()
    trial = try_training(registry.architecture("rnn"), registry.architecture("gru"))
    assert trial.seen is None
    assert trial.steps == 20
    assert trial.first_loss > trial.last_loss  # type: ignore[operator]
    assert trial.speed is not None
    assert trial.beside_speed is not None
    assert trial.beside == "gru 1x128"


def test_the_lines_fit_a_terminal() -> None:
    trial = try_training(Registry().architecture("rnn"))
    shown = list(lines(Checked("charpipe_rnn", "charpipe 0.1.0", "architecture", "rnn", (), trial), 80))
    assert max(map(len, shown)) <= 80
