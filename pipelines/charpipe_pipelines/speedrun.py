"""`speedrun`: the best validation loss within a budget of time, over presets and architectures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from charpipe.comparison.parallel import train_trials
from charpipe.comparison.speedrun import check_speedrun, plan_speedrun
from charpipe.comparison.speedrun_history import FILE
from charpipe.comparison.speedrun_ranking import SpeedrunEntry
from charpipe.comparison.speedrun_results import SpeedrunResult, conclude_speedrun
from charpipe.plugin import Table
from charpipe.stages import Context, Parallel, encode, ingest, learn_vocabulary
from charpipe_pipelines.options import SpeedrunOptions

HEAD = (
    "configuration",
    "seeds",
    "val loss",
    "±",
    "bits/char",
    "± bits",
    "p",
    "parameters",
    "steps",
    "seconds",
)
EARLIER = ("earlier", "configuration", "seeds", "val loss", "±", "bits/char", "± bits", "charpipe", "torch")


def recipe(context: Context, options: SpeedrunOptions) -> SpeedrunResult:
    """From raw text to a ranking. The trainings run one after the other: each has the whole machine for its time."""
    corpus = options.corpus
    documents = ingest(context, corpus)
    vocabulary = learn_vocabulary(context, corpus, documents)
    tokens = encode(context, corpus, documents, vocabulary)
    plan = plan_speedrun(context, corpus, options.preset_names, options.archs, options.seeds, tokens)
    rows = train_trials(context, plan, corpus, tokens, vocabulary, Parallel())
    return conclude_speedrun(context, plan, rows, tokens)


def check(context: Context, options: SpeedrunOptions) -> None:
    """Raise if a request is invalid, before anything starts."""
    check_speedrun(context, options.corpus, options.preset_names, options.archs)


def title(options: SpeedrunOptions) -> str:
    """`linux_src fast, best; lstm`."""
    return f"{options.corpus} {', '.join(options.preset_names)}; {', '.join(options.archs)}"


def show(result: SpeedrunResult, *, dry_run: bool = False) -> Iterator[str | Table]:
    """The closing lines of a speedrun, lowest validation loss first."""
    if dry_run:
        return
    here = result.machine
    cores = f"{here['cores']} core{'' if here['cores'] == 1 else 's'}"
    yield ""
    yield f"  machine: {here['processor']}, {cores}, device {here['device']}"
    yield f"  charpipe {result.charpipe}, torch {result.torch}"
    yield f"  {result.corpus}: {result.budget:g} s a training, seeds {', '.join(map(str, result.seeds))}"
    yield ""
    notes = [_note(entry) for entry in result.entries]
    columns = (*HEAD, "") if any(notes) else HEAD
    rows = [(*_cells(entry), note)[: len(columns)] for entry, note in zip(result.entries, notes, strict=True)]
    yield Table(columns, rows, numbers=HEAD[1:], drop=("parameters", "seconds", "steps", "± bits"))
    yield ""
    yield from _legend(result)
    if result.earlier:
        yield ""
        yield Table(EARLIER, [_earlier(one) for one in result.earlier], numbers=EARLIER[2:7], drop=("torch",))
        yield f"  the best of {FILE} on the same text, machine and budget"
    if result.entries and (best := result.entries[0].run):
        yield ""
        yield f"  {f'charpipe sample {best}':<58} what the best has learned"


def _legend(result: SpeedrunResult) -> Iterator[str]:
    yield "  val loss: nats per token of the validation text; the test text does not count"
    if len(result.seeds) > 1:
        yield "  ±: standard deviation over seeds; p: Welch's t-test of the val loss against the best"
    elif len(result.entries) > 1:
        yield "  a p-value needs two seeds or more: --seeds 3"


def _cells(one: SpeedrunEntry) -> tuple[str, ...]:
    return (
        one.title,
        str(one.seeds),
        *_scores(one.val_loss, one.val_loss_deviation, one.val_bits, one.val_bits_deviation),
        _shown(one.p, ".2g"),
        _shown(one.parameters, ","),
        _shown(one.steps, ",.0f"),
        _shown(one.seconds, ".1f"),
    )


def _note(one: SpeedrunEntry) -> str:
    worse = f"{one.worse_than_guessing} worse than guessing" if one.worse_than_guessing else ""
    failed = f"{one.failed} failed: {one.error}" if one.error else ""
    return "  ".join(part for part in (worse, failed) if part)


def _earlier(one: Any) -> tuple[str, ...]:
    names = ("val_loss", "val_loss_deviation", "val_bits", "val_bits_deviation")
    scores = _scores(*(one.get(name) for name in names))
    when = str(one["when"])[:16].replace("T", " ")
    return when, one["title"], str(one["seeds"]), *scores, one["charpipe"], one["torch"]


def _scores(*values: float | None) -> tuple[str, ...]:
    return tuple(_shown(value, ".4f") for value in values)


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
