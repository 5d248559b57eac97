from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from charpipe.workspace import Workspace
from charpipe_pipelines.server import managed_server


def charpipe(folder: Path, *words: str) -> str:
    command = [sys.executable, "-c", "import sys; from charpipe.cli import main; sys.exit(main())", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.e2e
def test_ui_brings_both_pages_up_and_down_ends_them(project: Path) -> None:
    try:
        shown = charpipe(project, "ui", "--no-browser")
        pages = re.findall(r"http://127\.0\.0\.1:\d+\S*", shown)
        assert len(pages) == 2
        for page in pages:
            with urllib.request.urlopen(
                urllib.request.Request(page, headers={"accept": "text/html"})
            ) as response:
                assert response.status == 200
    finally:
        told = charpipe(project, "down")
    assert told.count("stopped") == 2
    assert charpipe(project, "down").count("was not running") == 2
    assert managed_server(Workspace(project / ".charpipe")).running() is None


@pytest.mark.e2e
def test_ui_opens_a_run_or_several_side_by_side(
    project: Path, copy_prefect: Callable[[Workspace], None]
) -> None:
    from charpipe import train

    copy_prefect(Workspace(project / ".charpipe"))
    (project / "mine.txt").write_text("the quick brown fox jumps over the lazy dog. " * 100)
    settings = {"train.steps": 6, "architectures.rnn.hidden_size": 8, "sample.length": 10}
    one, two = (train("mine.txt", "rnn", settings=settings | {"train.seed": seed}).name for seed in (1, 2))
    try:
        assert "/runs/" in charpipe(project, "ui", "--no-browser", "--run", one)
        shown = charpipe(project, "ui", "--no-browser", "--run", one, "--run", two)
        assert "compare-runs" in shown
        charts = charpipe(project, "ui", "--no-browser", "--charts")
        assert "experiments/" in charts
        assert charts != charpipe(project, "ui", "--no-browser")
    finally:
        charpipe(project, "down")
