"""The stage `sample`: samples text from a trained run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from charpipe import generation
from charpipe.events import Sampled
from charpipe.runs import Run
from charpipe.runs.models import load_run
from charpipe.stages.computation import once
from charpipe.stages.context import Context
from charpipe.stages.run_results import RunResult, checkpoint_digest, publish, record
from charpipe.stages.shared_runs import push_results
from charpipe.stages.stage import stage
from charpipe.stages.train import TrainedRun
from charpipe.store import digest_of_json

VERSION = 2
"""The version of the stage."""


@dataclass(frozen=True)
class Sample:
    """Text sampled from a model; `text` starts with the `prompt`."""

    text: str
    prompt: str = ""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Sample:
        """The sample as a run stores it."""
        return cls(value["text"], value.get("prompt", ""))


@stage("sample", "Sample from the best checkpoint.", forcible=True)
def sample(context: Context, trained: TrainedRun) -> Sample:
    """Sample from the run's best checkpoint, as the `[sample]` table says."""
    run = Run(context.workspace.root / trained.path)
    settings = context.config.sample
    values = settings.model_dump(mode="json")
    inputs = {"version": VERSION, "checkpoint": checkpoint_digest(run), "settings": values}

    def work() -> Sample:
        loaded = load_run(run, context.registry)
        predictor = loaded.predictor(context.config.train.device)
        text = generation.sample_some(predictor, loaded.encoding, settings, context.registry.all("decoder"))
        record(context, run, Sampled(run.status.step, text.removeprefix(settings.prompt), settings.prompt))
        return Sample(text, settings.prompt)

    result = RunResult("sample", run, digest_of_json(inputs), work, Sample.from_json, asdict, _summary)
    found = once(context, result)
    if context.publishing.is_due(run.name):
        publish(context, run)
    push_results(context, run)
    return found


def _summary(sample: Sample) -> str:
    return f"{len(sample.text):,} characters"
