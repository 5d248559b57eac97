"""Prepare the text of an experiment, once for all its models: tokens, and the widths to train. A text that is
unavailable gets the reason, and the rest continues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charpipe.comparison import Trial, plan_comparison
from charpipe.errors import InterruptedRun, one_line
from charpipe.events import StageFailed
from charpipe.stages import (
    Context,
    StageOutput,
    WouldRun,
    check,
    check_device,
    check_workspace_disk,
    encode,
    ingest,
    learn_vocabulary,
    stage,
)
from charpipe_2015.plan import Share, divide
from charpipe_2015.settings import experiment_context


@dataclass(frozen=True)
class Prepared:
    """A tokenized text with the configurations to train and those of 2015; or the reason why there are none."""

    share: Share
    wanted: str = ""
    tokens: StageOutput | None = None
    vocabulary: StageOutput | None = None
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


@stage("prepare", "Make tokens of a text, and determine the widths.", label=lambda share: str(share.name))
def prepare(context: Context, share: Share) -> Prepared:
    """Tokenize the text and match the widths. Raises InterruptedRun; other errors become the reason."""
    experiment = share.experiment
    if not share.there:
        return Prepared(
            share, reason=f"not in the catalogue; with a copy: --corpora {experiment.corpus}=PATH"
        )
    try:
        own, wanted = experiment_context(context, share)
        documents = ingest(own, wanted)
        vocabulary = learn_vocabulary(own, wanted, documents)
        tokens = encode(own, wanted, documents, vocabulary)
        planned = plan_comparison(
            own, wanted, experiment.archs, experiment.sizes, experiment.layers, 1, experiment.match, tokens
        )
    except InterruptedRun:
        raise
    except WouldRun as would:
        return Prepared(share, reason=str(would))
    except Exception as error:  # no network, no disk, a plugin's error: continue with the other texts
        context.emit(StageFailed(experiment.title, one_line(error)))
        return Prepared(share, reason=one_line(error), failed=True)
    return Prepared(
        share, wanted, tokens, vocabulary, planned.trials, checked=_is_checked(own, share, wanted)
    )


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
        own, wanted = experiment_context(context, share)
        for arch in share.experiment.archs:
            check(own, wanted, arch)
        check_device(own)


def _is_checked(context: Context, share: Share, wanted: str) -> bool:
    return share.path is None or context.corpus(wanted)[1].sha256 is not None
