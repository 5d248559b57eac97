"""A night's retraining: what is looked at before it begins, and what is remembered when it is decided.

`retraining/<corpus>.json` in the workspace remembers the last night that came to its end: the documents and settings
it worked with, how far it read the data, what was decided. Losing it costs a night's work, never a model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from charpipe.champions.records import Champion, champion, room
from charpipe.errors import CorpusError, RunError, StoreError
from charpipe.runs import Run, readable_runs
from charpipe.stages.beginning import Beginning, beginning_at, difference, find_beginning
from charpipe.stages.data import refresh_source
from charpipe.stages.plan import INCIDENTAL, TrainRequest, make_plan
from charpipe.stages.promote import Promotion, publish_champions
from charpipe.stages.session import Made, Session
from charpipe.stages.train import TrainedRun
from charpipe.store.atomic import write_json
from charpipe.store.digest import digest_of_json

PIPELINE = "retrain"
MENDED = ("RunError", "StoreError", "OSError", "KeyboardInterrupt")
"""Errors that may be gone the next night: a full disk, a file that could not be read."""


@dataclass(frozen=True)
class Night:
    """What a retraining begins with: the model to start from (None: afresh), the run that goes on where the last one
    was cut off, and the documents that were decided about already with these settings."""

    corpus: str
    arch: str
    settings: str
    champion: str | None
    beginning: Beginning | None
    resume: str | None
    done: str | None
    cursor: int

    def decided(self, documents: Made) -> bool:
        """Whether there is nothing to do: these very documents were decided about, with the same settings."""
        return self.resume is None and documents.digest == self.done


def refresh(session: Session, wanted: str, arch: str, start: Literal["champion", "fresh"]) -> Night:
    """Ask the source for something newer, and find out what tonight's training begins with.

    Raises CorpusError where the source cannot be reached, RunError where the champion's files are gone or altered: it
    is not decided against what cannot be read.
    """
    name, _ = session.corpus(wanted)
    present = champion(session.workspace, name)
    unfinished = session.resume or _unfinished(session, wanted, arch, name)
    if unfinished is not None:
        session.resume = unfinished
        session.notice(
            f"goes on with {unfinished.name}, which was cut off at step {unfinished.status.step:,}"
        )
    elif not session.dry_run:
        _ask(session, wanted, name, present)
    last = _remembered(session, name)
    settings = _settings(session, wanted, arch, start)
    beginning = _beginning(session, wanted, arch, present if start == "champion" else None)
    cursor = _whole(last.get("cursor"))
    if session.resume is None and beginning is not None:
        beginning = beginning.further(cursor)
    same = last.get("settings") == settings and present is not None and not session.force
    known = last.get("documents") if same else None
    return Night(
        name,
        arch,
        settings,
        present.run if present else None,
        beginning,
        unfinished.name if unfinished else None,
        known if isinstance(known, str) else None,
        cursor,
    )


def skip(session: Session, night: Night, documents: Made) -> dict[str, Any]:
    """Say that there is nothing to do, but to bring MLflow's registry what it may not have got last time."""
    publish_champions(session, night.corpus)
    reason = f"the content of {night.corpus} is unchanged since it was last decided; {night.champion} stays champion"
    session.notice(f"skipped: {reason}")
    return {
        "run": None,
        "corpus": night.corpus,
        "skipped": True,
        "reason": reason,
        "champion": night.champion,
        "metrics": {},
    }


def conclude(
    session: Session, night: Night, documents: Made, trained: TrainedRun, decided: Promotion
) -> dict[str, Any]:
    """Remember the night, and say what was decided."""
    run = Run(session.workspace.root / trained.path)
    begun = _whole((run.info.facts.get("start") or {}).get("offset"))
    write_json(
        _file(session, night.corpus),
        {
            "corpus": night.corpus,
            "documents": documents.digest,
            "settings": night.settings,
            "cursor": max(night.cursor, begun + trained.steps),
            "run": trained.run,
            "promoted": decided.promoted,
            "reason": decided.reason,
            "champion": decided.champion,
            "time": round(time.time(), 3),
        },
    )
    verdict = (
        f"{trained.run} is the champion now" if decided.promoted else f"{decided.champion} stays champion"
    )
    session.notice(f"{night.corpus}: {verdict}: {decided.reason}")
    return {
        "promoted": decided.promoted,
        "reason": decided.reason,
        "champion": decided.champion,
        "version": decided.version,
        "started_from": run.info.parent,
        "resumed": night.resume is not None,
    }


def _ask(session: Session, wanted: str, name: str, present: Champion | None) -> None:
    try:
        refresh_source(session, wanted)
    except CorpusError as error:
        stands = f"{present.run} stays champion" if present else "there is still no champion"
        raise CorpusError(f"{error}; {stands} of {name}, and the next run tries again") from error


def _beginning(session: Session, wanted: str, arch: str, present: Champion | None) -> Beginning | None:
    """The champion as what to start from, unless old and new cannot be compared: then it is begun afresh, and said."""
    if session.resume is not None:
        return find_beginning(session, None)
    if present is None:
        return None
    beginning = beginning_at(session, present.run, present.folder)
    why_not = difference(session, beginning, arch) or _other_vocabulary(session, wanted, present)
    if why_not is not None:
        session.notice(f"begins afresh, not from the champion: {why_not}")
        return None
    return beginning


def _other_vocabulary(session: Session, wanted: str, present: Champion) -> str | None:
    _, config = session.corpus(wanted)
    tokenizer = session.registry.find("tokenizer", config.tokenizer.name).spec
    try:
        known = json.loads((present.folder / "vocabulary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"the vocabulary of {present.name} cannot be read: {error}") from error
    if known.get("tokenizer") != tokenizer.name:
        return f"it speaks a {known.get('tokenizer')} vocabulary, not a {tokenizer.name} one"
    if tokenizer.extend is None and tokenizer.counts:
        return f"the tokenizer {tokenizer.name} cannot extend a vocabulary"
    return None


def _unfinished(session: Session, wanted: str, arch: str, corpus: str) -> Run | None:
    """The newest retraining of this corpus, if it was cut off and would still be the same."""
    if session.force or session.dry_run:
        return None
    runs = [
        run
        for run in readable_runs(session.workspace.runs)
        if run.info.corpus == corpus and run.info.request.get("pipeline") == PIPELINE
    ]
    if not runs or not _was_cut_off(runs[-1]):
        return None
    return runs[-1] if _is_same(session, wanted, arch, runs[-1]) else None


def _was_cut_off(run: Run) -> bool:
    status = run.status
    if status.state == "failed":
        return (status.error or "").partition(":")[0] in MENDED
    return status.state in ("new", "interrupted") and not run.is_busy()


def _is_same(session: Session, wanted: str, arch: str, run: Run) -> bool:
    """Whether what the run is made from is still there, and its settings and code are still those asked for."""
    before, session.resume = session.resume, run
    try:
        tokens, vocabulary = session.recorded("encode"), session.recorded("vocabulary")
        if tokens is None or vocabulary is None or session.recorded("ingest") is None:
            return False
        request = TrainRequest(wanted, arch, PIPELINE, {}, find_beginning(session, None))
        return make_plan(session, request, tokens, vocabulary).action.digest == run.info.action
    except (RunError, StoreError, TypeError):
        return False
    finally:
        session.resume = before


def _settings(session: Session, wanted: str, arch: str, start: str) -> str:
    """A digest of all settings that a night's outcome depends on."""
    _, corpus = session.corpus(wanted)
    config = session.config
    return digest_of_json(
        {
            "arch": arch,
            "start": start,
            "architecture": config.architectures.get(arch, {}),
            "corpus": corpus.model_dump(mode="json", include={"tokenizer", "split"}),
            "train": config.train.model_dump(mode="json", exclude=INCIDENTAL),
            "promotion": config.promotion.model_dump(mode="json"),
            "code": session.registry.find("architecture", arch).provider.digest(),
        }
    )


def _file(session: Session, corpus: str) -> Path:
    return session.workspace.root / "retraining" / f"{room(session.workspace, corpus).name}.json"


def _remembered(session: Session, corpus: str) -> Mapping[str, Any]:
    try:
        value = json.loads(_file(session, corpus).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
