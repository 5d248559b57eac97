"""`sweep`: search the settings of an architecture with Optuna."""

from __future__ import annotations

from collections.abc import Iterator

from charpipe.plugin import Table
from charpipe.stages import Context, check_here, encode, ingest, learn_vocabulary
from charpipe.sweeps.request import check_trials, space_of
from charpipe.sweeps.results import PAGE, conclude_sweep
from charpipe.sweeps.search import plan_sweep, search
from charpipe.sweeps.sweep import SweepResult
from charpipe.sweeps.table import cells_of, head_of
from charpipe_pipelines.options import SweepOptions
from charpipe_pipelines.placement import check_place, place, spread

SHOWN = 10
"""Trials in the closing table."""


def recipe(context: Context, options: SweepOptions) -> SweepResult:
    """From raw text to the best settings."""
    corpus = options.corpus
    context = spread(context, options.runner)
    documents = ingest(context, corpus)
    vocabulary = learn_vocabulary(context, corpus, documents)
    tokens = encode(context, corpus, documents, vocabulary)
    space = space_of(context, options.arch, options.space)
    trials = check_trials(space, options.sampler, options.trials)
    sweep = plan_sweep(
        context, corpus, options.arch, space, trials, options.sampler, options.pruner, options.storage, tokens
    )
    parallel = place(context, options.runner, options.at_once, trials)
    search(context, sweep, corpus, tokens, vocabulary, parallel)
    return conclude_sweep(context, sweep, corpus)


def check(context: Context, options: SweepOptions) -> None:
    """Raise if a request is invalid, before anything starts."""
    check_trials(space_of(context, options.arch, options.space), options.sampler, options.trials)
    check_here(context, options.corpus, options.arch)
    check_place(context, options.runner, options.at_once)


def title(options: SweepOptions) -> str:
    """`linux_src lstm`."""
    return f"{options.corpus} {options.arch}"


def show(result: SweepResult, *, dry_run: bool = False) -> Iterator[str | Table]:
    """The closing lines of a sweep, best trial first."""
    if dry_run:
        return
    keys = list(dict.fromkeys(key for trial in result.trials for key in trial.settings))
    head = head_of(keys)
    yield ""
    rows = [tuple(cells_of(trial, keys)) for trial in result.trials[:SHOWN]]
    yield Table(tuple(head), rows, numbers=tuple(head[:-1]), drop=("seconds", "bits/char", "steps"))
    if len(result.trials) > SHOWN:
        yield f"  … and {len(result.trials) - SHOWN} more in trials.csv"
    yield ""
    yield "  val loss: nats per token of the validation text; the test text is not used"
    if result.importances:
        shares = ", ".join(f"{key} {100 * share:.0f} %" for key, share in result.importances.items())
        yield f"  importance: {shares}"
    yield ""
    if result.command:
        yield "  to train the best at full length:"
        yield f"  {result.command}"
        yield ""
    if result.folder is not None:
        yield f"  {result.folder / PAGE}"
    yield f"  {'charpipe ui --charts':<58} the trials' learning curves in one chart"
