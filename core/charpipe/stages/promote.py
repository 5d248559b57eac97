"""Promotion as a stage: challenger against champion on text that neither was trained on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charpipe.champions import audit, promotion
from charpipe.champions.promotion import Candidate
from charpipe.champions.records import Champion, champion, read_state
from charpipe.errors import RunError
from charpipe.events import Decided, StageFinished, StageProgress, StageStarted
from charpipe.guessing import warn_about
from charpipe.library import load_bundle
from charpipe.runs import Run
from charpipe.stages.session import Made, Session, WouldRun
from charpipe.stages.train import TrainedRun
from charpipe.store import digest_of_json

VERSION = 1
"""The version of the stage: raised when the same models and text would be decided about otherwise."""


@dataclass(frozen=True)
class Promotion:
    """How it was decided about a run: `champion` is the run that is champion now, `version` its number; `line` is
    the audit's; `reused` if it had been decided before."""

    corpus: str
    run: str
    promoted: bool
    reason: str
    champion: str | None
    version: int | None
    reused: bool = False
    line: Mapping[str, Any] = field(default_factory=dict)


def promote(
    session: Session, trained: TrainedRun, tokens: Made, *, by: str = "retrain", anyway: bool = False
) -> Promotion:
    """Let the run's best checkpoint challenge the champion of its corpus on the held-out text of `tokens`.

    With `anyway` it becomes champion whatever the comparison says, so long as its scores are finite. Asked again
    about the same models and the same text, it answers as before. Raises RunError where the champion's files are
    gone or altered (nothing is decided then), or where the challenger could not be kept.
    """
    run = Run(session.workspace.root / trained.path)
    return promote_run(session, run, session.path(tokens), by=by, anyway=anyway)


def promote_run(session: Session, run: Run, tokens: Path, *, by: str, anyway: bool = False) -> Promotion:
    """As `promote`, for a run and the folder of the tokens whose held-out text is to decide."""
    candidate = Candidate.of(run)
    if session.dry_run and _known(session, candidate, tokens.name) is None:
        raise WouldRun("promote: would compare it with the champion, and all after it")
    started = time.monotonic()

    def wait(holder: str) -> None:
        session.notice(f"promote: waiting for {holder}")

    with promotion.deciding(session.workspace, candidate.corpus, wait, lambda: session.check_stop("promote")):
        known = None if anyway or "promote" in session.force else _known(session, candidate, tokens.name)
        decided = known or _decide(session, candidate, tokens, by, anyway)
    seconds = time.monotonic() - started
    summary = f"{decided.run if decided.promoted else 'not promoted'}: {decided.reason}"
    session.emit(StageFinished("promote", summary, seconds, skipped=decided.reused, facts=dict(decided.line)))
    if decided.promoted and by == "user" and (warning := warn_about(run.info, run.status)) is not None:
        session.notice(warning, "warning")  # else the stage evaluate has said it
    if not decided.reused:
        event = _event(decided)
        session.registry.notify(event)
        session.emit(event)
    publish_champions(session, candidate.corpus)
    return decided


def roll_back(session: Session, corpus: str, to: int | None = None, *, by: str = "user") -> Champion:
    """Make the champion before the present one (or version `to`) champion again; see `charpipe.champions.roll_back`."""
    with promotion.deciding(
        session.workspace, corpus, lambda holder: session.notice(f"waiting for {holder}")
    ):
        found = promotion.roll_back(session.workspace, corpus, to, by=by)
        state = read_state(session.workspace, corpus)
    if state is not None:
        before = (state.decision.get("champion") or {}).get("run")
        reason = str(state.decision["reason"])
        event = Decided(corpus, found.run, True, reason, found.version.version, before)
        session.registry.notify(event)
        session.emit(event)
    publish_champions(session, corpus)
    return found


def publish_champions(session: Session, corpus: str) -> None:
    """Let MLflow's registry follow; its troubles are told, decide nothing, and are mended by the next call."""
    tracking = session.config.tracking
    if not tracking.enabled:
        return
    from charpipe.tracking import locate
    from charpipe.tracking.registered import keep_up

    location = locate(tracking, session.workspace.mlflow)
    keep_up(location, session.workspace, corpus, session.emit, tracking.experiment)


def _known(session: Session, candidate: Candidate, tokens: str) -> Promotion | None:
    """The decision about this candidate, if it was made before and nothing it rests on has changed."""
    state = read_state(session.workspace, candidate.corpus)
    if state is None:
        return None
    if state.champion.model == candidate.model and state.champion.run == candidate.run:
        return _promotion(candidate, state.decision, reused=True)
    key = _key(session, candidate, tokens, state.champion.model)
    for line in reversed(audit.decisions(session.workspace, candidate.corpus)):
        if line.get("key") == key and not line.get("promoted"):
            return _promotion(candidate, line, reused=True, champion=state.champion.run)
    return None


def _key(session: Session, candidate: Candidate, tokens: str, champion: str | None) -> str:
    """All that a decision depends on."""
    settings = session.config.promotion.model_dump(mode="json")
    return digest_of_json([VERSION, candidate.model, champion, tokens, settings])


def _decide(session: Session, candidate: Candidate, tokens: Path, by: str, anyway: bool) -> Promotion:
    workspace, corpus = session.workspace, candidate.corpus
    present = None if anyway and _is_broken(session, corpus) else champion(workspace, corpus)
    session.emit(StageStarted("promote", _why(candidate, present)))
    account = _compare(session, candidate, present, tokens)
    if not account["promoted"] and anyway and account["finite"]:
        account |= {"promoted": True, "reason": f"by hand, although: {account['reason']}"}
    if account["promoted"] and _is_worse_than_guessing(session, candidate):
        account["reason"] += "; it is worse than guessing"
    account["key"] = _key(session, candidate, tokens.name, present.model if present else None)
    if account["promoted"]:
        splits = tokens / "splits.parquet"
        promotion.promote(workspace, candidate, account, by=by, splits=splits)
        state = read_state(workspace, corpus)
        return _promotion(candidate, state.decision if state else account)
    line = promotion.decline(workspace, candidate, account, by=by)
    return _promotion(candidate, line, champion=present.run if present else None)


def _is_worse_than_guessing(session: Session, candidate: Candidate) -> bool:
    run = Run(session.workspace.runs / candidate.run)
    return warn_about(run.info, run.status) is not None


def _is_broken(session: Session, corpus: str) -> bool:
    try:
        champion(session.workspace, corpus)
    except RunError:
        return True
    return False


def _why(candidate: Candidate, present: Champion | None) -> str:
    return f"{candidate.run} against {present.run}" if present else "there is no champion yet"


def _compare(
    session: Session, candidate: Candidate, present: Champion | None, tokens: Path
) -> dict[str, Any]:
    """The decision as the audit keeps it, and the tokens whose text it rests on."""
    from charpipe.champions.decision import Contestant, decide
    from charpipe.champions.passages import held_out

    config, device = session.config.promotion, session.config.train.device
    ours = load_bundle(candidate.run, candidate.checkpoint, session.registry)
    challenger = Contestant(candidate.run, ours.predictor(device), ours.encoding)
    account: dict[str, Any] = {"tokens": tokens.name}
    if present is None:
        held = held_out(tokens, ours.encoding, config.characters)
        decision = decide(challenger, None, held, config, _progress(session))
        return account | decision.to_json()
    refusal = _incomparable(session, candidate, present)
    seen = None
    theirs = load_bundle(present.name, present.folder, session.registry)
    if refusal is None:
        seen, refusal = _seen(session, present, theirs.encoding, tokens, ours.encoding)
    held = held_out(tokens, ours.encoding, config.characters, seen)
    if refusal is None and not held.shared:
        refusal = "it was trained on another corpus of the same name: they have no document in common"
    rival = Contestant(present.run, theirs.predictor(device), theirs.encoding)
    decision = decide(challenger, rival, held, config, _progress(session))
    account |= decision.to_json()
    if refusal is not None and account["finite"]:
        account |= {"promoted": False, "reason": refusal}
    return account


def _seen(
    session: Session, present: Champion, theirs: Any, tokens: Path, ours: Any
) -> tuple[Any, str | None]:
    from charpipe.champions.seen import Seen
    from charpipe.errors import StoreError

    old = session.store.object(present.inputs.get("tokens", ""))
    try:
        return Seen(present.splits.parent, old, theirs, tokens, ours), None
    except StoreError:
        return None, "which text the champion was trained on is not known any more"


def _incomparable(session: Session, candidate: Candidate, present: Champion) -> str | None:
    """Why no text can tell which of the two is better, if none can; a rolled-back model is no candidate either."""
    state = read_state(session.workspace, candidate.corpus)
    if state is not None and candidate.model in state.withdrawn:
        return "it was rolled back from; only by hand can it become champion again"
    was, now = (_division(session, inputs.get("tokens", "")) for inputs in (present.inputs, candidate.inputs))
    if was is not None and now is not None and was != now:
        return f"the corpus is divided otherwise than for the champion ({was} -> {now})"
    return None


def _division(session: Session, tokens: str) -> str | None:
    """How the tokens were divided into splits, in words, or None where the store does not know any more."""
    made = session.store.made(tokens)
    split = made["action"]["settings"].get("split") if made else None
    if not isinstance(split, dict):
        return None
    return f"by documents, salt {split.get('salt')}" if split.get("by") == "documents" else "contiguous"


def _progress(session: Session) -> Any:
    def tell(done: int, total: int) -> None:
        session.check_stop("promote")
        session.emit(StageProgress("promote", done, total, "tokens"))

    return tell


def _promotion(
    candidate: Candidate, line: Mapping[str, Any], *, reused: bool = False, champion: str | None = None
) -> Promotion:
    promoted = bool(line["promoted"])
    return Promotion(
        candidate.corpus,
        candidate.run,
        promoted,
        str(line["reason"]),
        candidate.run if promoted else champion,
        line.get("version") if promoted else (line.get("champion") or {}).get("version"),
        reused,
        line,
    )


def _event(decided: Promotion) -> Decided:
    line = decided.line
    metrics = {
        f"{who}/{split}_bits_per_char": line[split][who]
        for split in ("validation", "test", "unseen")
        for who in ("challenger", "champion")
        if line.get(split) and line[split].get(who) is not None
    }
    return Decided(
        decided.corpus,
        decided.run,
        decided.promoted,
        decided.reason,
        decided.version,
        (line.get("champion") or {}).get("run"),
        line.get("probability"),
        line.get("confidence"),
        metrics,
    )
