"""One bad plugin harms only itself: it is listed with its error and fails only the command that asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charpipe.errors import PluginError, UsageError
from charpipe.events import Notice
from charpipe.plugins.discovery import FoundPlugin, import_plugin
from charpipe.plugins.registry import Registry

GOOD = """
from charpipe.plugin import Architecture, hookimpl

print("noise while it is imported")

@hookimpl
def charpipe_architectures():
    print("noise in a hook")
    return [Architecture("{name}", "a test", build="{name}.model:build")]
"""
BROKEN = {
    "import_error": ("import not_there_at_all", "ModuleNotFoundError: No module named 'not_there_at_all'"),
    "syntax_error": ("def broken(:", "SyntaxError"),
    "exits": ("raise SystemExit(3)", "SystemExit"),
    "heavy": ("import torch", "ImportError: it imports torch when it is listed"),
    "raises": (
        "from charpipe.plugin import hookimpl\n@hookimpl\ndef charpipe_architectures():\n    raise ValueError('no')",
        "charpipe_architectures raised ValueError: no",
    ),
    "wrong_type": (
        "from charpipe.plugin import hookimpl\n@hookimpl\ndef charpipe_architectures():\n    return ['lstm']",
        "gave a str instead of a Architecture",
    ),
    "not_iterable": (
        "from charpipe.plugin import hookimpl\n@hookimpl\ndef charpipe_architectures():\n    return 3",
        "charpipe_architectures raised TypeError",
    ),
    "too_new": (
        "from charpipe.plugin import Architecture, hookimpl\n@hookimpl\ndef charpipe_architectures():\n"
        "    return [Architecture('late', '', api=99)]",
        "needs plugin API 99; this charpipe has 1: upgrade charpipe",
    ),
    "wrong_hook": (
        "from charpipe.plugin import hookimpl\n@hookimpl\ndef charpipe_architecture():\n    return []",
        "charpipe_architecture is not a hook; did you mean 'charpipe_architectures'?",
    ),
    "wrong_arguments": (
        "from charpipe.plugin import hookimpl\n@hookimpl\ndef charpipe_architectures(size):\n    return []",
        "PluginValidationError",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_is_listed_with_its_error_and_harms_no_other(folder: Path, fault: str) -> None:
    text, said = BROKEN[fault]
    name = f"broken_{fault}"
    (folder / f"{name}.py").write_text(text)
    script = (
        "from pathlib import Path; from charpipe.plugins.registry import Registry; import sys\n"
        f"registry = Registry([Path({str(folder)!r})])\n"
        f"print([p.problems for p in registry.providers() if p.module == {name!r}][0])\n"
        "assert registry.architecture('lstm').name == 'lstm'\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said in done.stdout
    assert done.stderr == ""


def test_a_broken_plugin_that_is_asked_for_fails(folder: Path) -> None:
    (folder / "charpipe_wavy.py").write_text("import not_there_at_all")
    registry = Registry([folder])
    with pytest.raises(PluginError, match=r"charpipe_wavy .* is broken: ModuleNotFoundError"):
        registry.architecture("wavy")


def test_a_module_dropped_into_a_folder_is_a_plugin(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = folder / "dropped_one"
    package.mkdir()
    (package / "__init__.py").write_text(GOOD.format(name="dropped_one"))
    (package / "model.py").write_text("def build(config, size):\n    return (config, size)\n")
    registry = Registry([folder])
    from charpipe.plugin import resolve

    architecture = registry.architecture("dropped_one")
    assert architecture.build is not None
    assert resolve(architecture.build)(1, 2) == (1, 2)
    assert capsys.readouterr() == ("", "")
    before = registry.find("architecture", "dropped_one").provider.digest()
    (package / "model.py").write_text("def build(config, size):\n    return None\n")
    assert registry.find("architecture", "dropped_one").provider.digest() != before


def test_a_duplicate_name_is_an_error_that_names_both(folder: Path) -> None:
    (folder / "second_lstm.py").write_text(GOOD.format(name="lstm"))
    registry = Registry([folder])
    with pytest.raises(PluginError) as caught:
        registry.architecture("lstm")
    assert "charpipe_lstm" in str(caught.value)
    assert "second_lstm" in str(caught.value)
    assert registry.architecture("gru").name == "gru"
    assert all(p.problems for p in registry.providers() if p.module in ("charpipe_lstm", "second_lstm"))


def own_names(kind: str) -> list[str]:
    return [one.spec.name for one in Registry().provided(kind) if one.provider.own]


@pytest.mark.parametrize("name", own_names("command"))
def test_plugin_cannot_hide_a_command_of_charpipe(folder: Path, name: str) -> None:
    (folder / "hiding.py").write_text(
        "from charpipe.plugin import Command, hookimpl\n@hookimpl\ndef charpipe_commands():\n"
        f"    return [Command({name!r}, '', print)]\n"
    )
    registry = Registry([folder])
    assert registry.find("command", name).provider.own
    assert registry.all("command").keys() == Registry().all("command").keys()
    problems = {provider.module: provider.problems for provider in registry.providers()}
    ((problem,),) = [found for module, found in problems.items() if module == "hiding"]
    assert problem.startswith(f"command {name!r} is provided by charpipe.plugins.builtin (charpipe ")
    assert f"and hiding ({folder / 'hiding.py'}); charpipe's own is used: rename the other" in problem
    assert not any(found for module, found in problems.items() if module != "hiding")


@pytest.mark.parametrize("name", own_names("metric"))
def test_plugin_cannot_hide_a_metric_of_charpipe(folder: Path, name: str) -> None:
    own = Registry().find("metric", name)
    (folder / "hiding.py").write_text(
        "from charpipe.plugin import Metric, hookimpl\n@hookimpl\ndef charpipe_metrics():\n"
        f"    return [Metric({name!r}, '', lambda facts: 0.0, {own.spec.when!r})]\n"
    )
    found = Registry([folder]).find("metric", name)
    assert (found.provider.own, found.spec.summary) == (True, own.spec.summary)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("'loss', '', len", "name is 'loss', not a group and a name such as 'train/grad_norm'"),
        ("'train/a b', '', len", "name is 'train/a b', not a group and a name"),
        ("3, '', len", "name is 3, not a text"),
        ("'train/x', '', len, 'step'", "when is 'step', not 'update' or 'evaluation'"),
        ("'val/x', '', len", "updates have no metric of your own in the group 'val'"),
        ("'train/x', '', len, 'evaluation'", "evaluations have no metric of your own in the group 'train'"),
        ("'perf/x', '', len", "in the group 'perf'"),
        ("'train/x', '', 3", "function is 3, neither a function nor the name of one"),
        ("'train/x', '', len, api=2", "needs plugin API 2"),
    ],
)
def test_metric_that_does_not_fit_is_listed_with_its_error(folder: Path, spec: str, said: str) -> None:
    (folder / "odd.py").write_text(
        "from charpipe.plugin import Metric, hookimpl\n@hookimpl\ndef charpipe_metrics():\n"
        f"    return [Metric({spec})]\n"
    )
    registry = Registry([folder])
    (problem,) = [provider.problems for provider in registry.providers() if provider.module == "odd"]
    assert said in problem[0]
    assert registry.all("metric").keys() == Registry().all("metric").keys()


def test_a_module_that_is_installed_is_not_loaded_twice(folder: Path) -> None:
    import charpipe_lstm

    source = Path(charpipe_lstm.__file__).parent
    registry = Registry([source.parent])
    assert registry.architecture("lstm").name == "lstm"
    assert [p.module for p in registry.providers()].count("charpipe_lstm") == 1


def test_a_module_whose_name_is_taken_is_refused(folder: Path) -> None:
    (folder / "json.py").write_text("")
    (problem,) = [p.problems[0] for p in Registry([folder]).providers() if p.module == "json"]
    assert "there is another Python module named 'json'" in problem


def test_an_unknown_name_has_a_near_match() -> None:
    with pytest.raises(UsageError, match="no architecture 'lsmt'; did you mean 'lstm'"):
        Registry().architecture("lsmt")


def test_a_listener_that_raises_is_not_told_again(folder: Path) -> None:
    (folder / "listener.py").write_text(
        "from charpipe.plugin import hookimpl\ncalls = []\n@hookimpl\ndef charpipe_events(event):\n"
        "    calls.append(event)\n    raise RuntimeError('no')\n"
    )
    registry = Registry([folder])
    registry.notify(Notice("one"))
    registry.notify(Notice("two"))
    assert len(sys.modules["listener"].calls) == 1
    (provider,) = [p for p in registry.providers() if p.module == "listener"]
    assert provider.problems == ["charpipe_events raised RuntimeError: no"]


def test_a_plugin_that_changed_within_a_second_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python compares time, in seconds, and size."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "plugin_of_one_second.py"
    found = []
    for number in (1, 2):
        path.write_text(f"NUMBER = {number}\n")
        os.utime(path, (1_700_000_000, 1_700_000_000))
        found.append(import_plugin(FoundPlugin(path.stem, path=path)).NUMBER)
        del sys.modules[path.stem]
    assert found == [1, 2]
