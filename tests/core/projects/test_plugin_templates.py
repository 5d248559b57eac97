"""`charpipe plugins new`: what it writes works, keeps the rules, and passes its own test; what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from charpipe.cli import main
from charpipe.cli.environment import open_registry
from charpipe.projects.plugin_templates import KINDS, SPEC


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_keeps_the_rules(plugins: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "new", kind, f"new-{kind}"]) == 0
    assert f"wrote plugins/new_{kind}/__init__.py" in capfd.readouterr().out
    provider = next(one for one in open_registry().providers() if one.module == f"new_{kind}")
    name = f"train/new_{kind}" if kind == "metric" else f"new-{kind}"
    assert (provider.problems, provider.provides) == ([], {SPEC.get(kind, kind): [name]})
    assert main(["plugins", "check", f"new_{kind}", "--json"]) == 0
    (checked,) = json.loads(capfd.readouterr().out)
    assert [rule for rule in checked["rules"] if rule["seen"]] == []
    assert len(checked["rules"]) > 1
    assert all(rule["demands"] for rule in checked["rules"])


@pytest.mark.e2e
@pytest.mark.parametrize("kind", KINDS)
def test_the_test_of_a_new_plugin_passes(plugins: Path, kind: str) -> None:
    """It runs from the project's folder, as its user would run it, and fails where the plugin is broken."""
    assert main(["plugins", "new", kind, f"tested-{kind}"]) == 0
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"plugins/tested_{kind}"]
    done = subprocess.run(command, cwd=plugins.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("cel", "mine", "did you mean 'cell'?"),
        ("cell", "My Cell", "cannot be the name of a cell"),
        ("cell", "2fast", "cannot be the name"),
        ("cell", "a" * 41, "at most 40"),
        ("cell", "../up", "cannot be the name"),
        ("cell", "lambda", "word of Python's own"),
        ("cell", "json", "word of Python's own"),
        ("cell", "numpy", "there is a Python module 'numpy' already"),
        ("cell", "lstm", "there is an architecture 'lstm' already"),
        ("tokenizer", "byte", "there is a tokenizer 'byte' already"),
    ],
)
def test_what_is_refused_writes_nothing(
    plugins: Path, kind: str, name: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "new", kind, name]) == 2
    assert said in capfd.readouterr().err
    assert list(plugins.iterdir()) == []


def test_nothing_is_overwritten(plugins: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (plugins / "mine").mkdir()
    assert main(["plugins", "new", "cell", "mine"]) == 2
    assert "exists already" in capfd.readouterr().err
    assert list((plugins / "mine").iterdir()) == []


def test_without_a_project_it_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "cell", "mine"]) == 2
    assert "type: charpipe init" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
