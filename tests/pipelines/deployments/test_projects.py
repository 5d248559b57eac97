"""The digest of a project that a deployment carries: the same in every copy, another where something differs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from charpipe.cli.environment import open_registry
from charpipe.config import load_config
from charpipe.errors import UsageError
from charpipe_pipelines.deployments.projects import (
    Project,
    check_project,
    describe_project,
    enter_project,
    relative_to_project,
)

FILE = """
# a comment
[corpora.mine]
sources = ["texts/*.txt"]
[corpora.another]
sources = ["text:abc"]
[train]
steps = 7
[deployments.nightly]
pipeline = "train-and-sample"
corpus = "mine"
"""
PLUGIN = "from charpipe.plugin import hookimpl\n\n@hookimpl\ndef charpipe_metrics():\n    return []\n"


def forget_plugins() -> None:
    for name in ("of_the_project", "one_more"):
        sys.modules.pop(name, None)


def made(folder: Path, text: str = FILE, **plugins: str) -> Path:
    (folder / "plugins").mkdir(parents=True, exist_ok=True)
    (folder / "pipelines.toml").write_text(text)
    for name, code in plugins.items():
        (folder / "plugins" / f"{name}.py").write_text(code)
    return folder


def described(folder: Path, monkeypatch: pytest.MonkeyPatch, corpus: str | None = "mine") -> Project:
    forget_plugins()
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(
        str(folder / "plugins")
    )  # digest_of_package finds the code by the module's name
    return describe_project(load_config(pipeline="train-and-sample"), open_registry(), corpus)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return made(tmp_path / "A", of_the_project=PLUGIN)


def test_a_copy_elsewhere_has_the_same_digest(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(first, first.parent / "another place" / "B"))
    assert described(copy, monkeypatch) == described(first, monkeypatch)
    check_project(described(first, monkeypatch).to_json(), described(copy, monkeypatch))


def test_what_decides_nothing_does_not_change_it(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = described(first, monkeypatch)
    text = FILE.replace("# a comment", "# another").replace('"text:abc"', '"text:abcd"')
    text += 'schedule = {interval = "6h"}\n[prefect]\napi_url = "http://127.0.0.1:1/api"\n'
    text += "[presets.x]\ntrain.steps = 3\n[store]\nlease = '7s'\n"
    made(first, text)
    assert described(first, monkeypatch) == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (FILE.replace("steps = 7", "steps = 8"), r"differ in \[train\];"),
        (FILE.replace("texts/*.txt", "texts/*.text"), r"differ in \[corpora\.mine\];"),
        (
            FILE + "[architectures.lstm]\nhidden_size = 9\n",
            r"differ in \[architectures\] \(only here\)|\[architectures\]",
        ),
        (FILE + "[tracking]\nenabled = false\n", r"differ in \[tracking\];"),
        (FILE + '[store]\nurl = "file:///shared"\n', r"differ in \[store\] url \(only here\);"),
    ],
)
def test_other_settings_are_refused_with_both_digests(
    text: str, said: str, first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = described(first, monkeypatch)
    here = described(made(first, text), monkeypatch)
    with pytest.raises(UsageError, match=said) as refused:
        check_project(deployed.to_json(), here)
    assert deployed.digest in str(refused.value)
    assert here.digest in str(refused.value)
    assert "\n" not in str(refused.value)


def test_plugins_that_differ_are_refused_by_name(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed = described(first, monkeypatch).to_json()
    made(first, of_the_project=PLUGIN + "# changed\n")
    with pytest.raises(UsageError, match="differ in the plugin of_the_project;"):
        check_project(deployed, described(first, monkeypatch))
    made(first, of_the_project=PLUGIN, one_more=PLUGIN)
    with pytest.raises(UsageError, match=r"differ in the plugin one_more \(only here\);"):
        check_project(deployed, described(first, monkeypatch))
    for name in ("of_the_project", "one_more"):
        (first / "plugins" / f"{name}.py").unlink()
    with pytest.raises(UsageError, match=r"differ in the plugin of_the_project \(missing here\);"):
        check_project(deployed, described(first, monkeypatch))


def test_a_worker_enters_the_project_that_its_environment_names(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path / "worker")
    with pytest.raises(UsageError, match=r"this worker has no pipelines\.toml .* CHARPIPE_PROJECT"):
        enter_project()
    monkeypatch.setenv("CHARPIPE_PROJECT", str(tmp_path / "worker"))
    with pytest.raises(UsageError, match=r"CHARPIPE_PROJECT is .*worker, where there is no pipelines\.toml"):
        enter_project()
    monkeypatch.setenv("CHARPIPE_PROJECT", str(first))
    enter_project()
    assert Path.cwd() == first
    assert load_config().project_file == first / "pipelines.toml"


def test_paths_outside_the_project_stay_as_they_are(tmp_path: Path) -> None:
    assert relative_to_project(str(tmp_path / "a" / "b"), tmp_path / "a") == "./b"
    assert relative_to_project(str(tmp_path / "ab"), tmp_path / "a") == str(tmp_path / "ab")
    assert relative_to_project("../x", tmp_path) == "../x"
