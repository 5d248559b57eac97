"""The view of an experiment on MLflow's page: few columns, best run first, and charts that overlay the runs.

MLflow stores a shared view as a tag of the experiment, and opens it for a link that names it. charpipe's links name
this one. A user's own changes stay in their browser.
"""

from __future__ import annotations

import json
from typing import Any

KEY = "charpipe"
TAG = f"mlflow.sharedViewState.{KEY}"
BITS = "val/bits_per_char"
COLUMNS = (
    "metrics.`test/bits_per_char`",
    f"metrics.`{BITS}`",
    "metrics.`sample/novel_share`",
    "metrics.`perf/chars_per_second`",
    "params.`arch`",
    "params.`model.hidden_size`",
    "params.`model.layers`",
    "params.`train.learning_rate`",
    "params.`train.seed`",
    "tags.`charpipe.parameters`",
)
SECTION = "charpipe-learning"
CHARTS = (
    ("bits per character of validation text, by step", BITS, "step"),
    ("bits per character of validation text, by time", BITS, "time-relative"),
    ("training loss, nats per token", "train/loss", "step"),
)


def view() -> str:
    """The view in the format of MLflow's page."""
    shown: dict[str, Any] = {
        "selectedColumns": list(COLUMNS),
        "orderByKey": f"metrics.`{BITS}`",
        "orderByAsc": True,
        "runsHiddenMode": "SHOW_ALL",
        "compareRunSections": [_section(SECTION, "Learning")],
        "compareRunCharts": [_line(number, *chart) for number, chart in enumerate(CHARTS)] + [_scores()],
        "isAccordionReordered": True,
        "hideEmptyCharts": True,
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }
    return json.dumps(shown, sort_keys=True)


def query(charts: bool = False) -> str:
    """The query of a link to an experiment's runs that opens this view, on its table or on its charts."""
    mode = (
        "&compareRunsMode=CHART" if charts else ""
    )  # an order here would make MLflow's page ignore the view
    return f"workflowType=machine_learning&viewStateShareKey={KEY}{mode}"


def _section(uuid: str, name: str) -> dict[str, Any]:
    flags = {"display": True, "isReordered": True, "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "name": name, **flags}


def _card(uuid: str, kind: str, name: str, metric: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "type": kind,
        "displayName": name,
        "metricKey": metric,
        "metricSectionId": SECTION,
        "runsCountToCompare": 20,
        "deleted": False,
        "isGenerated": False,
    }


def _line(number: int, name: str, metric: str, across: str) -> dict[str, Any]:
    return _card(f"charpipe-line-{number}", "LINE", name, metric) | {
        "selectedMetricKeys": [metric],
        "xAxisKey": across,
        "useGlobalXaxisKey": False,
        "selectedXAxisMetricKey": "",
        "xAxisScaleType": "linear",
        "scaleType": "linear",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "lineSmoothness": 0,
        "useGlobalLineSmoothing": True,
        "range": {},
    }


def _scores() -> dict[str, Any]:
    return _card("charpipe-bars", "BAR", "bits per character of the test text", "test/bits_per_char")
