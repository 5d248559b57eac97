"""Commands that plugins add: beside charpipe's own, which come in by the same hook, and never in their place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from charpipe.cli import main

HEADER = "import typer\nfrom charpipe.plugin import Command, hookimpl\n@hookimpl\ndef charpipe_commands():\n"


@pytest.fixture
def add_plugin(project: Path) -> Iterator[Callable[[str, str], None]]:
    known = set(sys.modules)
    (project / "plugins").mkdir()

    def add(name: str, text: str) -> None:
        (project / "plugins" / f"{name}.py").write_text(HEADER + text)

    yield add
    for name in set(sys.modules) - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(project)):
            del sys.modules[name]


Add = Callable[[str, str], None]


def test_own_gc_runs_where_a_plugin_provides_gc(add_plugin: Add, capfd: pytest.CaptureFixture[str]) -> None:
    add_plugin("hiding", "    return [Command('gc', 'Hides.', lambda: print('hidden'))]\n")
    assert main(["gc", "--dry-run"]) == 0
    assert "hidden" not in capfd.readouterr().out
    assert main(["--help"]) == 0
    assert "Hides." not in capfd.readouterr().out


def test_command_provided_twice_is_an_error_that_names_both(
    add_plugin: Add, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        add_plugin(f"plugin_{name}", f"    return [Command('greet', '', lambda: print('{name}'))]\n")
    for words in (["greet"], ["greet", "--name", "you"], ["greet", "--help"]):
        assert main(words) == 1
        told = capfd.readouterr()
        assert told.out == ""
        assert "command 'greet' is provided by plugin_one (" in told.err
        assert " and plugin_two (" in told.err
    assert main(["--help"]) == 0
    assert "greet" not in capfd.readouterr().out


@pytest.mark.parametrize("app", ["'not_there:app'", "'os:nothing'", "3", "odd"])
def test_command_that_cannot_be_imported_says_so(
    add_plugin: Add, capfd: pytest.CaptureFixture[str], app: str
) -> None:
    add_plugin(
        "broken_one", f"    return [Command('greet', '', {app})]\ndef odd(x: int | str) -> None: ...\n"
    )
    assert main(["greet"]) == 1
    assert "the plugin broken_one: command 'greet' cannot be used" in capfd.readouterr().err
    assert main(["runs", "list"]) == 0


def test_factory_gets_the_plugin_registry(add_plugin: Add, capfd: pytest.CaptureFixture[str]) -> None:
    text = (
        "    return [Command('kinds', 'Count.', build, factory=True)]\n"
        "def build(registry):\n"
        "    def count() -> None:\n"
        "        print(len(registry.all('architecture')) > 2)\n"
        "    return count\n"
    )
    add_plugin("kinds_command", text)
    assert main(["kinds"]) == 0
    assert capfd.readouterr().out == "True\n"


def test_group_of_commands_has_its_summary(add_plugin: Add, capfd: pytest.CaptureFixture[str]) -> None:
    text = (
        "    return [Command('tools', 'Some tools.', app)]\n"
        "app = typer.Typer()\n"
        "@app.command()\n"
        "def first() -> None:\n"
        "    print('first')\n"
        "@app.command()\n"
        "def second() -> None:\n"
        "    print('second')\n"
    )
    add_plugin("tools_plugin", text)
    assert main(["tools", "second"]) == 0
    assert capfd.readouterr().out == "second\n"
    assert main(["--help"]) == 0
    assert "Some tools." in capfd.readouterr().out
