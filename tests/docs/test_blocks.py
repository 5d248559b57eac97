"""Which kinds of blocks the pages have. TOML and the like are read by what they are written for; Python and shell
blocks are run, in test_running_blocks.py and test_shell_blocks.py."""

from __future__ import annotations

import ast
import configparser
import importlib
import netrc
import shlex
import tomllib
from pathlib import Path

import pytest

from charpipe.config import load_config
from charpipe.errors import UsageError
from charpipe.plugins.registry import Registry
from charpipe.workspace import Workspace

import folders  # isort: skip
from documented import GENERATED, PAGES, Block, all_blocks, blocks

LANGUAGES = {"python", "sh", "toml", "ini", "text"}
PLAIN = {
    "architecture.md": 4,
    "champions.md": 1,
    "cluster.md": 1,
    "deployments.md": 1,
    "environment.md": 1,
    "plugins.md": 4,
    "shared-store.md": 3,
    "training.md": 1,
}
"""How many blocks of a page are no code: listings of folders and of signatures, output, a netrc file."""


def of_project(block: Block) -> bool:
    """Whether a TOML block is of a project file, and not of a plugin's pyproject.toml."""
    return "project" not in tomllib.loads(block.text)


def test_each_block_has_a_language_that_a_test_reads() -> None:
    for block in all_blocks():
        assert block.language in LANGUAGES, f"{block.name}: {block.language or 'no language'}"
    plain = [block.page for block in blocks("text")]
    assert {page: plain.count(page) for page in plain} == PLAIN


def test_only_the_readme_has_indented_blocks() -> None:
    """In the other pages a fence says what a block is written in."""
    for page in PAGES:
        if page.name not in ("README.md", *GENERATED):
            lines = page.read_text(encoding="utf-8").splitlines()
            fenced = False
            for number, line in enumerate(lines, 1):
                fenced ^= line.startswith("```")
                assert fenced or not line.startswith("    "), f"{page.name}:{number}: put it between fences"


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.name)
def test_every_python_block_compiles_and_what_it_imports_of_charpipe_is_there(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("charpipe"):
            module = importlib.import_module(str(node.module))
            for name in node.names:
                assert hasattr(module, name.name), f"{block.name}: {node.module} has no {name.name}"


@pytest.mark.parametrize("block", [one for one in blocks("toml") if of_project(one)], ids=lambda b: b.name)
def test_a_toml_block_is_a_project_file(block: Block, project: Path) -> None:
    """The real loader reads it: an unknown key is an error."""
    (project / "pipelines.toml").write_text(block.text, encoding="utf-8")
    config = load_config().config
    for table, names in tomllib.loads(block.text).items():
        known = getattr(config, table)
        assert set(names) <= set(known if isinstance(known, dict) else type(known).model_fields), block.name
    if config.deployments:
        from charpipe_pipelines.deployments.catalogue import read_deployments

        (project / "pipelines.toml").write_text(block.text + folders.PROJECT, encoding="utf-8")
        folders.write_texts(project)
        assert [one.name for one in read_deployments(Workspace(project / ".charpipe"), Registry())] == list(
            config.deployments
        )


def test_a_toml_block_with_an_unknown_key_fails(project: Path) -> None:
    block = next(one for one in blocks("toml") if one.page == "corpora.md")
    (project / "pipelines.toml").write_text(block.text + 'encodnig = "utf-8"\n', encoding="utf-8")
    with pytest.raises(UsageError, match="encodnig"):
        load_config()


def test_the_entry_point_of_the_guide_is_found(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an installed distribution would declare it."""
    (block,) = [one for one in blocks("toml") if not of_project(one)]
    ((group, names),) = tomllib.loads(block.text)["project"]["entry-points"].items()
    folders.write_plugins(project)
    installed = project / "minimal_gru-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: minimal-gru\nVersion: 1.0\n")
    lines = "".join(f"{name} = {target}\n" for name, target in names.items())
    (installed / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.syspath_prepend(str(project / "plugins"))
    assert Registry().architecture("minimal-gru").build == "minimal_gru.model:build"


def test_the_service_of_systemd_starts_a_command_that_there_is() -> None:
    (block,) = blocks("ini")
    unit = configparser.ConfigParser()
    unit.read_string(block.text)
    program, command = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "charpipe" and command in Registry().all("command")


def test_the_netrc_file_is_one(tmp_path: Path) -> None:
    (block,) = [one for one in blocks("text") if one.page == "environment.md"]
    (tmp_path / "netrc").write_text(block.text)
    hosts = netrc.netrc(str(tmp_path / "netrc")).hosts
    assert [(host, login[0], bool(login[2])) for host, login in hosts.items()] == [
        ("data.example.org", "anna", True)
    ]
