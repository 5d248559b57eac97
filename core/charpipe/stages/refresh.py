"""The stage `refresh`: checks the source for newer text, and determines what a retraining starts from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from charpipe.champions.records import Champion, champion
from charpipe.errors import CorpusError, RunError, StoreError
from charpipe.runs import Run
from charpipe.stages.context import Context
from charpipe.stages.ingest import refresh_source
from charpipe.stages.network import DOWNLOAD
from charpipe.stages.objects import StageOutput, recorded_object
from charpipe.stages.plan import INCIDENTAL, TrainRequest, make_plan
from charpipe.stages.retraining_record import read_record, whole
from charpipe.stages.stage import stage
from charpipe.stages.warm_start import WarmStart, difference, find_warm_start, warm_start_at
from charpipe.store.digest import digest_of_json

PIPELINE = "retrain"
MENDED = ("RunError", "StoreError", "OSError", "KeyboardInterrupt")
"""Errors that may be gone the next time: a full disk, a file that could not be read."""


@dataclass(frozen=True)
class Retraining:
    """What a retraining starts from.

    `warm_start` is the model to start from (None: random weights), `resume` the interrupted run to resume, `done`
    the digest of the documents already decided about with these settings, `cursor` the number of steps of data
    read so far.
    """

    corpus: str
    arch: str
    settings: str
    champion: str | None
    warm_start: WarmStart | None
    resume: str | None
    done: str | None
    cursor: int

    def is_decided(self, documents: StageOutput) -> bool:
        """Whether there is nothing to do: these documents were decided about before, with the same settings."""
        return self.resume is None and documents.digest == self.done

    def resuming(self, context: Context) -> Context:
        """The context for the next stages, which resumes the interrupted run if there is one."""
        return context if self.resume is None else context.resuming(Run(context.workspace.runs / self.resume))


@stage(
    "refresh",
    "Check the source for a newer version; find the champion to start from, or an interrupted run.",
    retry=DOWNLOAD,
)
def refresh(context: Context, wanted: str, arch: str, start: Literal["champion", "fresh"]) -> Retraining:
    """Check the source for newer text, and determine what this retraining starts from.

    Raises CorpusError if the source is unreachable, RunError if the champion's files are missing or altered:
    no decision is made against an unreadable champion.
    """
    name, _ = context.corpus(wanted)
    context.runs.champion_of(name)
    present = champion(context.workspace, name)
    unfinished = context.resume or _unfinished(context, wanted, arch, name)
    if unfinished is not None:
        context.notice(f"resumes {unfinished.name}, which was interrupted at step {unfinished.status.step:,}")
    elif not context.dry_run:
        _ask(context, wanted, name, present)
    record, settings = read_record(context, name), _settings(context, wanted, arch, start)
    cursor = whole(record.get("cursor"))
    if unfinished is not None:
        warm_start = find_warm_start(context.resuming(unfinished), None)
    else:
        warm_start = _from_champion(context, wanted, arch, present if start == "champion" else None)
        warm_start = warm_start and warm_start.at_least(cursor)
    same = record.get("settings") == settings and present is not None and not context.force
    known = record.get("documents") if same else None
    return Retraining(
        name,
        arch,
        settings,
        present.run if present else None,
        warm_start,
        unfinished.name if unfinished else None,
        known if isinstance(known, str) else None,
        cursor,
    )


def _ask(context: Context, wanted: str, name: str, present: Champion | None) -> None:
    try:
        refresh_source(context, wanted)
    except CorpusError as error:
        stands = f"{present.run} stays champion" if present else "there is still no champion"
        raise CorpusError(f"{error}; {stands} of {name}, and the next run tries again") from error


def _from_champion(context: Context, wanted: str, arch: str, present: Champion | None) -> WarmStart | None:
    """The champion as warm start; None, with a notice, if the new model cannot start from it."""
    if present is None:
        return None
    warm_start = warm_start_at(context, present.run, present.folder)
    why_not = difference(context, warm_start, arch) or _other_vocabulary(context, wanted, present)
    if why_not is not None:
        context.notice(f"trains from new weights, not from the champion's: {why_not}")
        return None
    return warm_start


def _other_vocabulary(context: Context, wanted: str, present: Champion) -> str | None:
    _, config = context.corpus(wanted)
    tokenizer = context.registry.find("tokenizer", config.tokenizer.name).spec
    try:
        known = json.loads((present.folder / "vocabulary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"the vocabulary of {present.name} cannot be read: {error}") from error
    if known.get("tokenizer") != tokenizer.name:
        return f"it has a {known.get('tokenizer')} vocabulary, not a {tokenizer.name} one"
    if tokenizer.extend is None and tokenizer.counts:
        return f"the tokenizer {tokenizer.name} cannot extend a vocabulary"
    return None


def _unfinished(context: Context, wanted: str, arch: str, corpus: str) -> Run | None:
    """The newest retraining of this corpus, if it was interrupted and would still be the same."""
    if context.force or context.dry_run:
        return None
    runs = context.runs.of_corpus(corpus, PIPELINE)
    if not runs or not _was_cut_off(runs[-1]):
        return None
    return runs[-1] if _is_same(context, wanted, arch, runs[-1]) else None


def _was_cut_off(run: Run) -> bool:
    status = run.status
    if status.state == "failed":
        return (status.error or "").partition(":")[0] in MENDED
    return status.state in ("new", "interrupted") and not run.is_busy()


def _is_same(context: Context, wanted: str, arch: str, run: Run) -> bool:
    """Whether the run's inputs still exist, and its settings and code are those requested."""
    resuming = context.resuming(run)
    try:
        found = [recorded_object(resuming, stage) for stage in ("ingest", "vocabulary", "encode")]
        documents, vocabulary, tokens = found
        if documents is None or vocabulary is None or tokens is None:
            return False
        request = TrainRequest(wanted, arch, PIPELINE, {}, find_warm_start(resuming, None))
        return make_plan(resuming, request, tokens, vocabulary).action.digest == run.info.action
    except (RunError, StoreError, TypeError):
        return False


def _settings(context: Context, wanted: str, arch: str, start: str) -> str:
    """A digest of all settings that affect the result."""
    _, corpus = context.corpus(wanted)
    config = context.config
    return digest_of_json(
        {
            "arch": arch,
            "start": start,
            "architecture": config.architectures.get(arch, {}),
            "corpus": corpus.model_dump(mode="json", include={"tokenizer", "split"}),
            "train": config.train.identity(INCIDENTAL),
            "promotion": config.promotion.model_dump(mode="json"),
            "code": context.registry.find("architecture", arch).provider.digest(),
        }
    )
