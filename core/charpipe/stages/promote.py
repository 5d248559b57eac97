"""The stage `promote`: challenger against champion on text that neither was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charpipe.champions import audit, promotion
from charpipe.champions.errors import ChampionChangedError
from charpipe.champions.promotion import Candidate
from charpipe.champions.records import Champion, champion
from charpipe.champions.state import read_state
from charpipe.errors import RunError, StoreError
from charpipe.events import Decided
from charpipe.models.loaded import load_bundle
from charpipe.runs import Run
from charpipe.runs.uniform_baseline import warn_about
from charpipe.stages.candidates import candidate_of
from charpipe.stages.computation import Computation, Found, once
from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput, progress_of
from charpipe.stages.stage import stage
from charpipe.stages.train import TrainedRun
from charpipe.store import digest_of_json
from charpipe.tracking import locate
from charpipe.tracking.registry import keep_up

VERSION = 1
"""The version of the stage: raised when the same models and text would be decided about otherwise."""


@dataclass(frozen=True)
class Promotion:
    """The decision about a run: `champion` is the run that is champion now, `version` its number; `line` is
    the audit's line; `reused` if the decision was made before."""

    corpus: str
    run: str
    promoted: bool
    reason: str
    champion: str | None
    version: int | None
    reused: bool = False
    line: Mapping[str, Any] = field(default_factory=dict)


@stage("promote", "Decide between champion and challenger, and promote the better one.", forcible=True)
def promote(
    context: Context, trained: TrainedRun, tokens: StageOutput, *, by: str = "retrain", anyway: bool = False
) -> Promotion:
    """Let the run's best checkpoint challenge the champion of its corpus on the held-out text of `tokens`.

    With `anyway` it is promoted regardless of the comparison, if its scores are finite. The same models and text
    give the recorded decision again. Raises RunError where the champion's files are
    missing or altered (nothing is decided then), or where the challenger could not be kept.
    """
    run = Run(context.workspace.root / trained.path)
    return promote_run(context, run, context.path(tokens), by=by, anyway=anyway)


def promote_run(context: Context, run: Run, tokens: Path, *, by: str, anyway: bool = False) -> Promotion:
    """Like `promote`, for a run and the folder of the tokens whose held-out text decides."""
    candidate = candidate_of(run)
    with _deciding(context, candidate.corpus):
        decided = once(context, _Decision(context, candidate, tokens, by, anyway))
    if decided.promoted and by == "user" and (warning := warn_about(run.info, run.status)) is not None:
        context.notice(warning, "warning")  # otherwise the stage evaluate has reported it
    if not decided.reused:
        event = _event(decided)
        context.registry.notify(event)
        context.emit(event)
    publish_champions(context, candidate.corpus)
    return decided


def _deciding(context: Context, corpus: str) -> AbstractContextManager[None]:
    """Lock decisions about a corpus to one process at a time; a dry run decides nothing."""
    if context.dry_run:
        return nullcontext()

    def wait(holder: str) -> None:
        context.notice(f"promote: waiting for {holder}")

    return promotion.deciding(
        context.workspace, corpus, wait, lambda: context.check_stop("promote"), context.champions
    )


class _Decision(Computation[Promotion]):
    stage = "promote"

    def __init__(self, context: Context, candidate: Candidate, tokens: Path, by: str, anyway: bool) -> None:
        self._context, self._candidate, self._tokens = context, candidate, tokens
        self._by, self._anyway = by, anyway

    def find(self) -> Found[Promotion]:
        context, candidate = self._context, self._candidate
        known = None if self._anyway else _known(context, candidate, self._tokens.name)
        return Found(known, _why(context, candidate), "compare it with the champion")

    def make(self) -> Promotion:
        while True:
            try:
                return _decide(self._context, self._candidate, self._tokens, self._by, self._anyway)
            except ChampionChangedError:  # the lease was lost meanwhile: decide against the new champion
                self._context.check_stop("promote")
                shared = self._context.champions
                if shared is not None:
                    shared.synchronize(self._candidate.corpus)

    def summary(self, result: Promotion) -> str:
        return f"{result.run if result.promoted else 'not promoted'}: {result.reason}"

    def facts(self, result: Promotion) -> Mapping[str, Any]:
        return dict(result.line)


def publish_champions(context: Context, corpus: str) -> None:
    """Update MLflow's registry; errors are reported, do not affect the decision, and the next call repairs them."""
    tracking = context.config.tracking
    if not tracking.enabled:
        return
    location = locate(tracking, context.workspace.mlflow)
    keep_up(location, context.workspace, corpus, context.emit, tracking.experiment)


def _known(context: Context, candidate: Candidate, tokens: str) -> Promotion | None:
    """The decision about this candidate, if one was made before and nothing it depends on has changed."""
    state = read_state(context.workspace, candidate.corpus)
    if state is None:
        return None
    if state.champion.model == candidate.model and state.champion.run == candidate.run:
        return _promotion(candidate, state.decision, reused=True)
    key = _key(context, candidate, tokens, state.champion.model)
    for line in reversed(audit.decisions(context.workspace, candidate.corpus)):
        if line.get("key") == key and not line.get("promoted"):
            return _promotion(candidate, line, reused=True, champion=state.champion.run)
    return None


def _key(context: Context, candidate: Candidate, tokens: str, champion: str | None) -> str:
    """All that a decision depends on."""
    settings = context.config.promotion.model_dump(mode="json")
    return digest_of_json([VERSION, candidate.model, champion, tokens, settings])


def _decide(context: Context, candidate: Candidate, tokens: Path, by: str, anyway: bool) -> Promotion:
    workspace, corpus = context.workspace, candidate.corpus
    present = None if anyway and _is_broken(context, corpus) else champion(workspace, corpus)
    account = _compare(context, candidate, present, tokens)
    if not account["promoted"] and anyway and account["finite"]:
        account |= {"promoted": True, "reason": f"by the user, although: {account['reason']}"}
    if account["promoted"] and _is_worse_than_guessing(context, candidate):
        account["reason"] += "; it is worse than guessing"
    account["key"] = _key(context, candidate, tokens.name, present.model if present else None)
    if account["promoted"]:
        splits = tokens / "splits.parquet"
        promotion.promote(workspace, candidate, account, by=by, splits=splits, shared=context.champions)
        state = read_state(workspace, corpus)
        return _promotion(candidate, state.decision if state else account)
    line = promotion.decline(workspace, candidate, account, by=by, shared=context.champions)
    return _promotion(candidate, line, champion=present.run if present else None)


def _is_worse_than_guessing(context: Context, candidate: Candidate) -> bool:
    run = Run(context.workspace.runs / candidate.run)
    return warn_about(run.info, run.status) is not None


def _is_broken(context: Context, corpus: str) -> bool:
    try:
        champion(context.workspace, corpus)
    except RunError:
        return True
    return False


def _why(context: Context, candidate: Candidate) -> str:
    state = read_state(context.workspace, candidate.corpus)
    return f"{candidate.run} against {state.champion.run}" if state else "there is no champion yet"


def _compare(
    context: Context, candidate: Candidate, present: Champion | None, tokens: Path
) -> dict[str, Any]:
    """The decision as stored in the audit, and the tokens whose text it depends on."""
    from charpipe.champions.decision import Contestant, decide
    from charpipe.champions.held_out import held_out

    config, device = context.config.promotion, context.config.train.device
    ours = load_bundle(candidate.run, candidate.checkpoint, context.registry)
    challenger = Contestant(candidate.run, ours.predictor(device), ours.encoding)
    account: dict[str, Any] = {"tokens": tokens.name}
    if present is None:
        held = held_out(tokens, ours.encoding, config.characters)
        decision = decide(challenger, None, held, config, progress_of(context, "promote", "tokens"))
        return account | decision.to_json()
    refusal = _incomparable(context, candidate, present)
    seen = None
    theirs = load_bundle(present.name, present.folder, context.registry)
    if refusal is None:
        seen, refusal = _overlap(context, present, theirs.encoding, tokens, ours.encoding)
    held = held_out(tokens, ours.encoding, config.characters, seen)
    if refusal is None and not held.shared:
        refusal = "it was trained on another corpus of the same name: they have no document in common"
    rival = Contestant(present.run, theirs.predictor(device), theirs.encoding)
    decision = decide(challenger, rival, held, config, progress_of(context, "promote", "tokens"))
    account |= decision.to_json()
    if refusal is not None and account["finite"]:
        account |= {"promoted": False, "reason": refusal}
    return account


def _overlap(
    context: Context, present: Champion, theirs: Any, tokens: Path, ours: Any
) -> tuple[Any, str | None]:
    from charpipe.champions.overlap import Overlap

    old = context.store.obtain(present.inputs.get("tokens", ""), "promote")
    try:
        return Overlap(present.splits.parent, old, theirs, tokens, ours), None
    except StoreError:
        return None, "the record of the text that the champion was trained on is gone"


def _incomparable(context: Context, candidate: Candidate, present: Champion) -> str | None:
    """Why no text can tell which of the two is better, or None; a rolled-back model is no candidate either."""
    state = read_state(context.workspace, candidate.corpus)
    if state is not None and candidate.model in state.withdrawn:
        return "it was rolled back from; only `charpipe models promote` makes it champion again"
    was, now = (_division(context, inputs.get("tokens", "")) for inputs in (present.inputs, candidate.inputs))
    if was is not None and now is not None and was != now:
        return f"the corpus has other splits than for the champion ({was} -> {now})"
    return None


def _division(context: Context, tokens: str) -> str | None:
    """How the tokens were divided into splits, as text, or None if the store no longer knows."""
    made = context.store.made(tokens)
    split = made["action"]["settings"].get("split") if made else None
    if not isinstance(split, dict):
        return None
    if split.get("by") == "documents":
        return f"by documents, salt {split.get('salt')}"
    return "by files" if split.get("by") == "files" else "contiguous"


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
