"""The stage `encode`: from documents to token files, one for each split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charpipe.parallel import choose_processes
from charpipe.stages.context import Context
from charpipe.stages.given_splits import given_notices
from charpipe.stages.lineage import alone
from charpipe.stages.objects import StageOutput, build, progress_of, recorded
from charpipe.stages.splits import (
    Division,
    division_before,
    earlier_tokens,
    recorded_splits,
    split_settings,
)
from charpipe.stages.stage import stage
from charpipe.stages.units import size
from charpipe.store import Action

VERSION = 1
"""The version of the stage."""


@stage("encode", "Turn the documents into tokens, divided into splits.", forcible=True)
def encode(context: Context, wanted: str, documents: StageOutput, vocabulary: StageOutput) -> StageOutput:
    """Split the documents and write each split as a file of tokens."""
    if (known := recorded(context, "encode", _summary)) is not None:
        return known
    name, config = context.corpus(wanted)
    provided = context.registry.find("tokenizer", config.tokenizer.name)
    split = split_settings(context, name, config, documents)
    inputs = {"documents": documents.digest, "vocabulary": vocabulary.digest}
    settings = {"split": split.model_dump()}
    code = {config.tokenizer.name: provided.provider.digest()}

    def divided() -> tuple[Action, Division]:
        if split.is_given:
            return Action("encode", VERSION, inputs, settings, code), Division()
        before = division_before(context, name, inputs, settings)
        division = before or earlier_tokens(context, name, documents, settings)
        by = {} if division.by is None else {"divided": division.by}
        return Action("encode", VERSION, inputs | by, settings, code), division

    def make(folder: Path) -> Mapping[str, Any]:
        from charpipe.text import encode, load_vocabulary
        from charpipe.text.token_tasks import StoredVocabulary

        path = context.path(vocabulary) / "vocabulary.json"
        earlier = recorded_splits(context, division)
        processes = choose_processes(config.processes, documents.facts["bytes"])
        with context.parallel_map(processes) as parallel:
            return encode(
                context.path(documents),
                load_vocabulary(path, context.registry.all("tokenizer")),
                split,
                folder,
                salt=split.salt or name,
                earlier=earlier,
                progress=progress_of(context, "encode"),
                parallel=parallel,
                vocabulary=StoredVocabulary(str(path), context.registry.folders),
            )

    action, division = divided()
    if context.store.shared is None or context.dry_run or context.store.find(action) is not None:
        made = build(context, action, make, name, _summary)
    else:
        with alone(context, name):
            action, division = divided()
            made = build(context, action, make, name, _summary)
    for part, share in (("val", split.val), ("test", split.test)):
        if share and not made.facts["tokens"][part]:
            context.notice(f"the corpus is too small or too uneven: its {part} split is empty", "warning")
    for notice, level in given_notices(split, made.facts):
        context.notice(notice, level)
    return made


def _summary(facts: Mapping[str, Any]) -> str:
    counts = facts["tokens"]
    shares = ", ".join(f"{split} {size(counts[split])}" for split in ("train", "val", "test"))
    return f"{size(sum(counts.values()))} tokens  ({shares})"
