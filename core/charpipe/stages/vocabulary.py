"""The stage `vocabulary`: from documents to the vocabulary of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charpipe.parallel import choose_processes
from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput, build, progress_of, recorded
from charpipe.stages.stage import stage
from charpipe.stages.warm_start import WarmStart, vocabulary_of
from charpipe.store import Action, digest_of_json
from charpipe.text.vocabulary import check_parent
from charpipe.text.vocabulary import learn_vocabulary as learn

VERSION = 1
"""The version of the stage."""


@stage("vocabulary", "Learn the vocabulary of the documents.", forcible=True)
def learn_vocabulary(
    context: Context, wanted: str, documents: StageOutput, warm_start: WarmStart | None = None
) -> StageOutput:
    """Build the vocabulary of the documents, or extend that of the warm-start model: `vocabulary.json`."""
    if (known := recorded(context, "vocabulary", _summary)) is not None:
        return known
    name, config = context.corpus(wanted)
    provided = context.registry.find("tokenizer", config.tokenizer.name)
    code = {config.tokenizer.name: provided.provider.digest()}
    parent = vocabulary_of(context, warm_start) if warm_start else None
    inputs = {"documents": documents.digest}
    if parent is not None:
        inputs["parent"] = digest_of_json(parent)
        check_parent(provided.spec, parent)
    settings = config.tokenizer.model_dump() | ({"ends": True} if config.ends else {})
    action = Action("vocabulary", VERSION, inputs, settings, code)

    def make(folder: Path) -> Mapping[str, Any]:
        progress = progress_of(context, "vocabulary")
        with context.parallel_map(choose_processes(config.processes, documents.facts["bytes"])) as parallel:
            return learn(
                context.path(documents),
                provided.spec,
                config.tokenizer,
                folder,
                progress,
                parent,
                parallel,
                ends=config.ends,
            )

    return build(context, action, make, name, _summary)


def _summary(facts: Mapping[str, Any]) -> str:
    return f"{facts['tokenizer']}, {facts['size']:,} tokens"
