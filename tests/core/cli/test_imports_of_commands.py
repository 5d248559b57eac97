"""A command line imports only the command that it names; a command works with the plugins it was found among."""

from __future__ import annotations

from pathlib import Path

import pytest

from charpipe.cli.app import build_command
from charpipe.cli.environment import open_registry, plugins_of_command
from charpipe.plugins.registry import Registry

REGISTRY = Registry()


@pytest.mark.parametrize("words", [["sample", "last"], ["--debug", "sample"], ["runs", "list"]])
def test_only_the_named_command_is_built(words: list[str]) -> None:
    named = next(word for word in words if not word.startswith("-"))
    assert list(build_command(REGISTRY, words).commands) == [named]


@pytest.mark.parametrize("words", [[], ["--help"], ["smaple"], ["--version"]])
def test_every_command_is_built_where_none_is_named(words: list[str]) -> None:
    assert set(build_command(REGISTRY, words).commands) == set(REGISTRY.all("command"))


def test_a_command_gets_the_plugins_it_was_found_among(project: Path) -> None:
    (project / "plugins").mkdir()
    found = open_registry()
    assert open_registry() is not found
    with plugins_of_command(found):
        assert open_registry() is found
    assert open_registry() is not found


def test_plugins_of_other_folders_are_loaded_anew(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with plugins_of_command(open_registry()):
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        (elsewhere / "pipelines.toml").write_text('[plugins]\npaths = ["mine"]\n')
        monkeypatch.chdir(elsewhere)
        assert open_registry().folders == (str(elsewhere / "mine"),)
