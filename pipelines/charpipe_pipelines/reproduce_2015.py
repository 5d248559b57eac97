"""`reproduce-2015`: the experiments of the blog and the paper of 2015, scaled to a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from charpipe.cli.output import table_lines, terminal_width
from charpipe.comparison.reproduced import ReproductionResult, tabulate
from charpipe.comparison.reproducing import check_reproduction, divide, prepare, reproduce, results_of
from charpipe.comparison.reproduction import Result, caveats, cells_of, head
from charpipe.stages import Context
from charpipe_pipelines.options import ReproduceOptions

INDENT = "  "


def recipe(context: Context, options: ReproduceOptions) -> ReproductionResult:
    """From the texts of 2015 to a results table."""
    planned = divide(context, options.sources, options.widths, options.depths, options.copies)
    results: list[Result] = []
    for share in planned.shares:
        prepared = prepare(context, share)
        found = [one for model in prepared.models for one in reproduce(context, model, planned.name)]
        results += results_of(prepared, found)
    return tabulate(context, planned, results)


def check(context: Context, options: ReproduceOptions) -> None:
    """Raise if a request is invalid, before anything starts."""
    check_reproduction(context, options.sources, options.widths, options.depths, options.copies)


def title(options: ReproduceOptions) -> str:
    """`2015: paper,blog`."""
    return f"2015: {options.experiments}"


def show(result: ReproductionResult, *, dry_run: bool = False) -> Iterator[str]:
    """The closing lines of a reproduction."""
    yield ""
    yield from _table(result.results, result.scaled_to)
    yield ""
    yield f"  here: on this machine, {result.scaled_to}; published: trained for as long as it took in 2015."
    yield "  A published figure that could not be checked is blank."
    for line in caveats(result.results):
        yield f"  {line}"
    if result.folder:
        yield ""
        yield f"  {result.folder}"
        yield f"  {'charpipe ui --charts':<58} see how they learnt, over each other"


def _table(results: Sequence[Result], scaled_to: str) -> Iterator[str]:
    columns, width = head(scaled_to), terminal_width()
    numbers = [columns[number] for number in (2, 4, 5)]
    room = None if width is None else width - len(INDENT)
    rows = [cells_of(one) for one in results]
    for line in table_lines(columns, rows, room, numbers, drop=("parameters",), whole=("model",)):
        yield f"{INDENT}{line}".rstrip()


def __getattr__(name: str) -> Any:
    """The pipeline's Prefect flow, by the name that deployments of earlier releases know."""
    if name == "reproduce_2015":
        from charpipe_pipelines.flows import flow_named

        return flow_named("reproduce-2015")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
