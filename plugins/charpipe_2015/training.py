"""Train and evaluate the models of an experiment; a model that fails becomes a row with the reason, and the rest
continues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charpipe.comparison import Row, Trial, train_trial
from charpipe.runs import Run
from charpipe.stages import Context, WouldRun, stage
from charpipe_2015.preparation import Prepared, ReproducedModel
from charpipe_2015.settings import experiment_context
from charpipe_2015.table import Result, result, with_best

WOULD = "would be trained"


@stage(
    "reproduce",
    "Train and score one model, or find the run that did.",
    label=lambda wanted, *_: str(wanted.name),
)
def reproduce(context: Context, wanted: ReproducedModel, reproduction: str) -> list[Result]:
    """Train and evaluate one model, or find the run that did; one row per quantity. Raises InterruptedRun."""
    prepared = wanted.prepared
    experiment = prepared.share.experiment
    asked, trial = experiment.trials[wanted.number], prepared.trials[wanted.number]
    assert prepared.tokens is not None and prepared.vocabulary is not None
    own, _ = experiment_context(context, prepared.share)
    model = model_name(own, asked)
    try:
        row = train_trial(own, trial, prepared.wanted, prepared.tokens, prepared.vocabulary, reproduction)
    except WouldRun:
        row = Row(trial.title, trial.seed)
    if row.error or not row.run:
        reason, failed = row.error or WOULD, bool(row.error)
        found: dict[str, Any] = {"run": row.run, "reason": reason, "failed": failed}
        return [result(experiment, model, one, **found) for one in experiment.quantities]
    metrics = Run(context.workspace.runs / row.run).status.metrics
    shared: dict[str, Any] = {
        "parameters": row.parameters,
        "steps": row.steps,
        "seconds": row.seconds,
        "scaled_to": prepared.share.scaled_to if asked.size is not None else "",
        "run": row.run,
        "notes": _notes(asked, trial, row),
        "caveat": prepared.caveat,
    }
    return [result(experiment, model, one, here=metrics.get(one), **shared) for one in experiment.quantities]


def results_of(prepared: Prepared, found: Sequence[Result]) -> list[Result]:
    """The rows of an experiment: of its models, and of the best of a grid; one with the reason if its text is
    unavailable."""
    return _absent(prepared) if prepared.reason else with_best(prepared.share.experiment, found)


def model_name(context: Context, trial: Trial) -> str:
    """`lstm 1x64`, `ngram order 20`."""
    if trial.size is not None:
        return trial.title
    order = context.config.architectures.get(trial.arch, {}).get("order")
    return trial.arch if order is None else f"{trial.arch} order {order}"


def _notes(asked: Trial, trial: Trial, row: Row) -> str:
    """What to know of a trained model: `asked` is the model of 2015, `trial` the one with the matching width."""
    notes = "counted in full" if asked.size is None else ""
    if trial.size != asked.size:
        notes = f"width {trial.size}, for the parameters of the LSTM"
    return "; ".join(filter(None, (notes, "worse than guessing" if row.worse_than_guessing else "")))


def _absent(prepared: Prepared) -> list[Result]:
    experiment = prepared.share.experiment
    count = len(experiment.trials)
    model = f"{count} models" if count > 1 else experiment.trials[0].title
    return [
        result(experiment, model, one, reason=prepared.reason, failed=prepared.failed)
        for one in experiment.quantities
    ]
