"""charpipe without one of its own plugins: what does not need it works, and what does says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from charpipe.cli import main
from charpipe.cli.output import printed, table_lines
from charpipe.plugin import Table
from charpipe.plugins import discovery

RUN = ["run", "train-and-sample", "--corpus", "hello", "--arch", "rnn", "--dry-run"]


@pytest.fixture
def without_2015(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = discovery.entry_points

    def others(group: str) -> list[discovery.EntryPoint]:
        return [point for point in installed(group=group) if point.value != "charpipe_2015"]

    monkeypatch.setattr(discovery, "entry_points", others)


def test_other_pipelines_run_without_the_plugin_of_a_built_in_table(
    without_2015: None, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["pipelines", "list"]) == 0
    assert "2015" not in capfd.readouterr().out
    assert main(RUN) == 0
    assert main(["config", "show"]) == 0
    assert main(["run", "reproduce-2015"]) == 2
    assert "reproduce-2015" in capfd.readouterr().err


def test_own_table_of_an_absent_plugin_is_an_error(
    without_2015: None, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "pipelines.toml").write_text("[pipelines.reproduce-2015]\ntrain.budget = '1h'\n")
    assert main(RUN) == 2
    assert "there is no pipeline 'reproduce-2015'" in capfd.readouterr().err


def test_plugin_is_found_by_its_short_name(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("2015", "charpipe_2015", "reproduce-2015"):
        assert main(["plugins", "info", name]) == 0
        assert capfd.readouterr().out.startswith("pipeline reproduce-2015: ")


def test_tables_of_a_pipeline_are_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(("model", "loss"), [("lstm 1x64", "1.25")], numbers=("loss",), drop=("loss",))
    text = table_lines(table.columns, table.rows, None, numbers=("loss",))
    assert list(printed(["before", table, ""])) == ["before", *(f"  {line}".rstrip() for line in text), ""]
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "14")
    assert "1.25" not in "".join(printed([table]))
