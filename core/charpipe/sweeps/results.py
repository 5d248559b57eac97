"""The last stage of a sweep: write its trials, its page and its pictures, and show them in MLflow."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from charpipe.comparison import Curve, publish_board, validation_curve
from charpipe.errors import Incomplete
from charpipe.pages.charts import Chart, document
from charpipe.pages.rendering import render
from charpipe.runs import Run
from charpipe.stages import Context, stage
from charpipe.sweeps.pictures import importance_picture, parallel_picture
from charpipe.sweeps.search import sweep_folder
from charpipe.sweeps.study import open_study
from charpipe.sweeps.sweep import Sweep, SweepResult, SweepTrial, ranked
from charpipe.sweeps.table import cells_of, head_of, write_trials
from charpipe.tracking.comparisons import Board

TRIALS, PAGE = "trials.csv", "sweep.html"
MOST_CURVES = 10
"""Learning curves in MLflow's plot: those of the best trials."""
LENGTHS = ("train.steps", "train.budget")


@stage("results", "Rank the trials, and draw what mattered.")
def conclude_sweep(context: Context, sweep: Sweep, corpus: str) -> SweepResult:
    """Rank the trials and write the results.

    Raises Incomplete, which carries the result, if no trial could be trained.
    """
    if context.dry_run:
        return SweepResult(sweep.name, sweep.corpus)
    folder = sweep_folder(context, sweep.name)
    with open_study(sweep, folder, context.workspace.root) as study:
        trials, importances = ranked(study.trials()), study.importances()
    best = trials[0] if trials and trials[0].state == "complete" else None
    command = "" if best is None else command_of(context, sweep, corpus, best)
    result = SweepResult(sweep.name, sweep.corpus, folder, tuple(trials), importances, command)
    pictures = _write(sweep, result, folder)
    publish_board(context, "sweep", lambda: _board(context, sweep, result, pictures))
    if best is None:
        reason = next((trial.error for trial in trials if trial.error), "none was finished")
        raise Incomplete(f"none of {len(trials)} trials could be trained: {reason}", result)
    return result


def command_of(context: Context, sweep: Sweep, corpus: str, best: SweepTrial) -> str:
    """The command that trains the best trial's settings at full length: with what this command set, but its length."""
    words = ["charpipe", "run", "train-and-sample", "--corpus", corpus, "--arch", sweep.arch]
    values = context.config.model_dump(mode="json")
    for key, origin in context.resolved.origins.items():
        if origin.startswith("preset ") and "--preset" not in words:
            words += ["--preset", origin.removeprefix("preset ")]
        elif origin in ("flag", "--set") and key not in LENGTHS:
            words += ["--set", f"{key}={_toml(_at(values, key))}"]
    for key, value in best.settings.items():
        words += ["--set", f"{key}={_toml(value)}"]
    return shlex.join(words)


def _at(values: Mapping[str, object], key: str) -> object:
    found: object = values
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _toml(value: object) -> str:
    if isinstance(value, str):
        return value
    return "null" if value is None else json.dumps(value)


def _write(sweep: Sweep, result: SweepResult, folder: Path) -> dict[str, str]:
    """Write the sweep's files; returns its pictures as SVG, by file name."""
    keys = [dimension.key for dimension in sweep.space]
    drawn = {
        "importance.svg": (importance_picture(result.importances), "Importance of the settings"),
        "parallel.svg": (parallel_picture(sweep.space, result.trials), "Settings and validation loss"),
    }
    charts = {name: (chart, title) for name, (chart, title) in drawn.items() if chart is not None}
    write_trials(folder / TRIALS, result.trials, keys)
    (folder / PAGE).write_text(_page(sweep, result, keys, list(charts.values())), encoding="utf-8")
    pictures = {name: document(chart, title) for name, (chart, title) in charts.items()}
    for name, picture in pictures.items():
        (folder / name).write_text(picture, encoding="utf-8")
    return pictures


def _page(sweep: Sweep, result: SweepResult, keys: Sequence[str], charts: Sequence[tuple[Chart, str]]) -> str:
    return render(
        "sweep.html",
        sweep=sweep,
        result=result,
        head=head_of(keys),
        rows=[cells_of(trial, keys) for trial in result.trials],
        charts=charts,
    )


def _board(context: Context, sweep: Sweep, result: SweepResult, pictures: Mapping[str, str]) -> Board:
    keys = [dimension.key for dimension in sweep.space]
    folder = sweep_folder(context, sweep.name)
    runs = {trial.number: Run(context.workspace.runs / trial.run) for trial in result.trials if trial.run}
    here = {number: run for number, run in runs.items() if (run.folder / "run.json").is_file()}
    curves: dict[str, list[Curve]] = {}
    for trial in result.trials[:MOST_CURVES]:
        if trial.number in here:
            curves[f"trial {trial.number}"] = [validation_curve(here[trial.number])]
    return Board(
        sweep.name,
        f"sweep: {sweep.arch} · {sweep.name.rpartition('-')[2]}",
        sweep.corpus,
        context.config.tracking.experiment,
        {
            "corpus": sweep.corpus,
            "arch": sweep.arch,
            "sampler": sweep.sampler,
            "pruner": sweep.pruner,
            **{f"space.{dimension.key}": str(dimension).partition("=")[2] for dimension in sweep.space},
        },
        head_of(keys),
        [cells_of(trial, keys) for trial in result.trials],
        list({run.name: run for run in here.values()}.values()),
        curves,
        (folder / TRIALS, folder / PAGE),
        complete=len(result.trials) >= sweep.trials,
        kind="sweep",
        pictures={f"plots/{name}": picture for name, picture in pictures.items()},
    )
