"""MLflow's own pages in a real browser: what a person sees who follows charpipe's links."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charpipe.runs import Run, RunInfo
from charpipe.tracking import TrackingConfig, locate
from charpipe.tracking.pages import base_url, comparison_link, experiment_link, link, mlflow_server
from charpipe.tracking.sync import sync
from waiting import LIMIT

pytestmark = pytest.mark.e2e
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WAIT = LIMIT * 1000


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """Three runs of one corpus in a real MLflow, and its page's address."""
    root = tmp_path_factory.mktemp("pages")
    runs = [_run(root / "runs", number, name) for number, name in enumerate(("rnn", "lstm", "gru"))]
    location = locate(TrackingConfig(), root / "mlflow", {})
    for run in runs:
        sync(location, run)
    base = base_url(location, root / "logs")
    yield base, runs
    mlflow_server(location, root / "logs").stop()


def _run(folder: Path, number: int, architecture: str) -> Run:
    name = f"20261123-104{number}-hello-{architecture}-000{number}"
    info = RunInfo(
        schema="charpipe.run/1",
        name=name,
        created=f"2026-11-23T10:4{number}:00+00:00",
        action="a" * 64,
        corpus="hello",
        architecture=architecture,
        architecture_config={"hidden_size": 8, "layers": 1},
        vocabulary_size=4,
        inputs={"tokens": "f" * 64},
    )
    run = Run.create(folder / name, info)
    lines = [
        {"step": n, "val/bits_per_char": 2 + 2 / n - number / 5, "train/loss": 3 / n, "time": 1.79e9 + n}
        for n in range(1, 11)
    ]  # fmt: skip
    run.metrics_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    run.samples_file.write_text(json.dumps({"step": 10, "prompt": "", "text": "hello hello"}) + "\n")
    run.update(state="finished", step=10, steps=10, metrics={"test/bits_per_char": 3 - number / 5})
    return run


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1500, "height": 950})
    opened = context.new_page()
    opened.set_default_timeout(WAIT)
    yield opened
    context.close()


def test_the_link_opens_on_the_runs_by_their_names_with_the_columns_that_matter(page, tracked):
    base, runs = tracked
    page.goto(experiment_link(base, runs[0]))
    for title in ("rnn 1x8 · 0000", "lstm 1x8 · 0001", "gru 1x8 · 0002"):
        page.get_by_role("link", name=title).first.wait_for()
    page.locator('[role="columnheader"]').filter(has_text="val/bits_per_char").first.wait_for()
    names = page.locator('[role="row"] a[href*="/runs/"]').all_inner_texts()
    assert next(name for name in names if "1x8" in name).startswith("gru")  # the best first


def test_the_charts_lay_the_architectures_over_each_other_by_step_and_by_time(page, tracked):
    base, runs = tracked
    page.goto(experiment_link(base, runs[0], charts=True))
    page.get_by_text("Relative Time").first.wait_for()
    page.wait_for_function("document.querySelectorAll('.scatterlayer .trace path.js-line').length >= 6")
    paths = page.eval_on_selector_all(
        ".scatterlayer path.js-line", "all => all.map(one => one.getAttribute('d'))"
    )
    assert sum("L" in path for path in paths) >= 6


def test_the_compare_page_draws_and_names_the_runs(page, tracked):
    base, runs = tracked
    page.goto(comparison_link(base, runs))
    page.get_by_text("Comparing 3 Runs").wait_for()
    page.wait_for_function(
        "document.querySelectorAll('.js-plotly-plot canvas, .js-plotly-plot svg').length > 0"
    )
    for title in ("rnn 1x8 · 0000", "gru 1x8 · 0002"):
        page.get_by_text(title).first.wait_for()


def test_the_report_shows_and_steps_within_the_artifact_view(page, tracked):
    base, runs = tracked
    page.goto(link(base, runs[1]).replace("?", "/artifacts/report/report.html?"))
    inside = page.frame_locator("iframe").first
    inside.get_by_role("heading", name="lstm 1x8 on hello").wait_for()
    assert inside.locator("svg[role=img]").count() >= 3
