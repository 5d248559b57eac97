"""Run a reproduction: divide the budget, prepare each text once, train and evaluate each model. A text that is
unavailable, or a model that fails, becomes a row with the reason, and the rest continues."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from charpipe import stages
from charpipe.comparison.configurations import settle
from charpipe.comparison.experiments import Experiment
from charpipe.comparison.experiments import experiments as all_experiments
from charpipe.comparison.leaderboard import Row
from charpipe.comparison.reproduction import Result, result, with_best
from charpipe.comparison.training import sentence, train_trial
from charpipe.comparison.trials import Trial
from charpipe.config import resolve_corpus
from charpipe.config.settings.training import parse_budget
from charpipe.errors import InterruptedRun, UsageError, near_match
from charpipe.events import Event, StageFailed, StagesPlanned
from charpipe.runs import Run
from charpipe.stages import Context, Made, WouldRun, stage
from charpipe.stages.disk_space import check_workspace_disk
from charpipe.stages.plan import check_device
from charpipe.store import digest_of_json

WOULD = "would be trained"


@dataclass(frozen=True)
class Share:
    """The part of a reproduction for one experiment: its text, and the training time per model."""

    experiment: Experiment
    path: str | None
    """The file or folder given for its text, if any."""
    there: bool
    """Whether the catalogue has the text, or a path was given."""
    budget: str | None
    """The budget of each neural model; None if the number of steps is fixed."""
    scaled_to: str

    @property
    def name(self) -> str:
        """`prepare war_and_peace`."""
        return f"prepare {self.experiment.corpus}"


@dataclass(frozen=True)
class Reproduction:
    """The resolved plan of a reproduction: `name` is the same for the same request."""

    name: str
    shares: tuple[Share, ...]
    scaled_to: str


@dataclass(frozen=True)
class Prepared:
    """A tokenized text with the configurations to train and those of 2015; or the reason why there are none."""

    share: Share
    wanted: str = ""
    tokens: Made | None = None
    vocabulary: Made | None = None
    trials: tuple[Trial, ...] = ()
    reason: str = ""
    failed: bool = False
    checked: bool = True
    """Whether the text is the catalogue's, and not a copy without a stated digest."""

    @property
    def caveat(self) -> str:
        """The caveat about the text."""
        notes = (self.share.experiment.notes, "" if self.checked else "a copy, its digest not checked")
        return "; ".join(note for note in notes if note)

    @property
    def models(self) -> list[ReproducedModel]:
        """The models to train on it."""
        return [ReproducedModel(self, number) for number in range(len(self.trials))]


@dataclass(frozen=True)
class ReproducedModel:
    """One model of an experiment."""

    prepared: Prepared
    number: int

    @property
    def name(self) -> str:
        """`war_and_peace rnn 1x128 seed 1`."""
        return f"{self.prepared.share.experiment.corpus} {self.prepared.trials[self.number].name}"


@stage("divide", "Choose the experiments, and divide the budget over them.")
def divide(
    context: Context,
    sources: Sequence[str],
    sizes: Sequence[int],
    layers: Sequence[int],
    corpora: Mapping[str, str],
) -> Reproduction:
    """The experiments, with the budget divided evenly over their models; unavailable texts get no share.

    Raises UsageError for a corpus that no experiment has.
    """
    chosen = all_experiments(sources, sizes, layers)
    names = [one.corpus for one in chosen]
    for name, path in corpora.items():
        if name not in names:
            raise UsageError(f"no experiment has a corpus {name!r}{near_match(name, names)}")
        if "://" not in path and not Path(path).exists():
            raise UsageError(f"--corpora {name}={path}: there is no such file or folder")
    there = [one.corpus in corpora or one.corpus in context.config.corpora for one in chosen]
    steps = context.config.train.steps if "train.steps" in _asked(context) else None
    count = sum(
        sum(trial.size is not None for trial in one.trials)
        for one, is_there in zip(chosen, there, strict=True)
        if is_there
    )
    total = context.config.train.budget
    budget = f"{parse_budget(total) / max(count, 1):.2f}s" if steps is None else None
    each = f"{steps:,} steps" if budget is None else budget.removesuffix("s") + " s"
    whole = f"{each} each" if budget is None else _minutes(parse_budget(total))
    shares = tuple(
        Share(one, corpora.get(one.corpus), is_there, budget, each)
        for one, is_there in zip(chosen, there, strict=True)
    )
    digest = digest_of_json({"shares": [dataclasses.asdict(one) for one in shares], "steps": steps})
    return Reproduction(f"reproduce-2015-{digest[:6]}", shares, whole)


def check_reproduction(
    context: Context,
    sources: Sequence[str],
    sizes: Sequence[int],
    layers: Sequence[int],
    corpora: Mapping[str, str],
) -> None:
    """Validate a reproduction before it starts: raises as `divide` does, and checks the device, the precision, the
    architectures, the decoders and the workspace."""
    if not context.dry_run:
        check_workspace_disk(context.workspace)
    for share in divide(context, sources, sizes, layers, corpora).shares:
        if not share.there:
            continue
        own, wanted = _own(context, share)
        for arch in share.experiment.archs:
            stages.check(own, wanted, arch)
        check_device(own)


@stage("prepare", "Make tokens of a text, and settle the widths.", label=lambda share: str(share.name))
def prepare(context: Context, share: Share) -> Prepared:
    """Tokenize the text and match the widths. Raises InterruptedRun; other errors become the reason."""
    experiment = share.experiment
    if not share.there:
        return Prepared(
            share, reason=f"not in the catalogue; with a copy: --corpora {experiment.corpus}=PATH"
        )
    try:
        own, wanted = _own(context, share)
        documents = stages.ingest(own, wanted)
        vocabulary = stages.learn_vocabulary(own, wanted, documents)
        tokens = stages.encode(own, wanted, documents, vocabulary)
        settled = settle(
            own, wanted, experiment.archs, experiment.sizes, experiment.layers, 1, experiment.match, tokens
        )
    except InterruptedRun:
        raise
    except WouldRun as would:
        return Prepared(share, reason=str(would))
    except Exception as error:  # no network, no disk, a plugin's error: continue with the other texts
        context.emit(StageFailed(experiment.title, sentence(error)))
        return Prepared(share, reason=sentence(error), failed=True)
    return Prepared(
        share, wanted, tokens, vocabulary, settled.trials, checked=_is_checked(own, share, wanted)
    )


@stage(
    "reproduce",
    "Train and score one model, or find the run that did.",
    label=lambda wanted, *_: str(wanted.name),
)
def reproduce(context: Context, wanted: ReproducedModel, reproduction: str) -> list[Result]:
    """Train and evaluate one model, or find the run that did; one row per quantity. Raises InterruptedRun."""
    prepared, share = wanted.prepared, wanted.prepared.share
    experiment = share.experiment
    asked, trial = experiment.trials[wanted.number], prepared.trials[wanted.number]
    assert prepared.tokens is not None and prepared.vocabulary is not None
    own, _ = _own(context, share)
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
    notes = "counted in full" if asked.size is None else ""
    if trial.size != asked.size:
        notes = f"width {trial.size}, for the parameters of the LSTM"
    if row.worse_than_guessing:
        notes = "; ".join(filter(None, (notes, "worse than guessing")))
    shared: dict[str, Any] = {
        "parameters": row.parameters,
        "steps": row.steps,
        "seconds": row.seconds,
        "scaled_to": share.scaled_to if asked.size is not None else "",
        "run": row.run,
        "notes": notes,
        "caveat": prepared.caveat,
    }
    return [result(experiment, model, one, here=metrics.get(one), **shared) for one in experiment.quantities]


def absent(prepared: Prepared) -> list[Result]:
    """The row of an experiment whose text is unavailable."""
    experiment = prepared.share.experiment
    count = len(experiment.trials)
    model = f"{count} models" if count > 1 else experiment.trials[0].title
    return [
        result(experiment, model, one, reason=prepared.reason, failed=prepared.failed)
        for one in experiment.quantities
    ]


def results_of(prepared: Prepared, found: Sequence[Result]) -> list[Result]:
    """The rows of an experiment: of its models, and of the best of a grid."""
    return absent(prepared) if prepared.reason else with_best(prepared.share.experiment, found)


def model_name(context: Context, trial: Trial) -> str:
    """`lstm 1x64`, `ngram order 20`."""
    if trial.size is not None:
        return trial.title
    order = context.config.architectures.get(trial.arch, {}).get("order")
    return trial.arch if order is None else f"{trial.arch} order {order}"


def experiment_of(context: Context) -> str:
    """The MLflow experiment for the whole reproduction."""
    return context.config.tracking.experiment or "reproduce-2015"


def _own(context: Context, share: Share) -> tuple[Context, str]:
    """The context with the settings of an experiment, overridden by flags, `--set` and preset; and the name of its
    corpus there."""
    experiment, config, asked = share.experiment, context.config, _asked(context)
    corpus = {**experiment.corpus_settings, **config.corpus}
    wanted = experiment.corpus
    if share.path is not None:
        place = share.path if "://" in share.path else str(Path(share.path).absolute())
        wanted = wanted if wanted in config.corpora else place
        corpus["sources"] = [place]
    train = {key: value for key, value in experiment.train.items() if f"train.{key}" not in asked}
    if share.budget is not None:
        train |= {"steps": None, "budget": share.budget}
    tables = dict(config.architectures)
    for arch, table in experiment.tables.items():
        given = dict(tables.get(arch, {}))
        kept = {key: value for key, value in given.items() if f"architectures.{arch}.{key}" in asked}
        tables[arch] = {**given, **table, **kept}
    changes = {
        "corpus": corpus,
        "train": config.train.model_copy(update=train),
        "architectures": tables,
        "tracking": config.tracking.model_copy(update={"experiment": experiment_of(context)}),
    }
    resolved = replace(context.resolved, config=config.model_copy(update=changes))
    resolve_corpus(resolved.config, wanted)
    return replace(context, resolved=resolved, emit=_named(context, experiment.corpus)), wanted


def _is_checked(context: Context, share: Share, wanted: str) -> bool:
    return share.path is None or context.corpus(wanted)[1].sha256 is not None


def _asked(context: Context) -> set[str]:
    """The settings given for this command."""
    return {
        key
        for key, origin in context.resolved.origins.items()
        if origin in ("flag", "--set") or origin.startswith(("preset ", "[pipelines."))
    }


def _named(context: Context, corpus: str) -> Any:
    """Emit stage events under a name that includes their text."""

    def emit(event: Event) -> None:
        changes: dict[str, Any] = {}
        if isinstance(event, StagesPlanned):
            changes = {"stages": tuple(f"{corpus} {stage}" for stage in event.stages)}
        elif hasattr(event, "stage"):
            changes = {"stage": f"{corpus} {event.stage}"}
        context.emit(replace(event, **changes))

    return emit


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:.2g} minute{'' if minutes == 1 else 's'}" if minutes < 100 else f"{minutes:.0f} minutes"
