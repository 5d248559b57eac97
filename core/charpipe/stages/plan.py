"""The training plan: what is trained from which data, the action that identifies it, and the run it becomes."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from charpipe.config.corpora import common_origin
from charpipe.config.names import parse_tags
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.errors import UsageError
from charpipe.generation.decoding import configured
from charpipe.models.precision import choose_device, choose_precision
from charpipe.plugin import Architecture, ModelConfig
from charpipe.plugins.registry import Provided
from charpipe.runs import Run, RunInfo
from charpipe.runs.annotations import Annotations, write_annotations
from charpipe.runs.find import new_name
from charpipe.runs.folder import SCHEMA, PluginUsed
from charpipe.stages.architectures import architecture
from charpipe.stages.context import Context
from charpipe.stages.disk_space import check_workspace_disk
from charpipe.stages.objects import StageOutput
from charpipe.stages.replay import LENGTHS, Replay, check_replay, find_replay
from charpipe.stages.warm_start import WarmStart, find_warm_start, warm_start_config
from charpipe.store import Action
from charpipe.store.actions import flatten
from charpipe.tracking import locate

VERSION = 1
"""The version of the stage."""
MIN_TOKENS = 2
"""Below that there is nothing to predict."""
INCIDENTAL = {"keep_checkpoints"}
"""Settings of training that do not change the model."""
RECORDED = {"corpus", "train", "sample", "architectures", "tracking", "prefect"}
"""The tables of settings that a run remembers, so that it can be resumed."""


@dataclass(frozen=True)
class TrainRequest:
    """What to train: the corpus as the user named it, the architecture, and the whole request, to repeat it."""

    corpus: str
    arch: str
    pipeline: str = "train-and-sample"
    options: Mapping[str, Any] | None = None
    warm_start: WarmStart | None = None
    """What training starts from, if not from random weights."""
    replay: str | None = None
    """The run whose steps are made again, if any."""


@dataclass(frozen=True)
class TrainingJob:
    """A resolved request: its plugin, its settings, the tokens and vocabulary it reads."""

    context: Context
    request: TrainRequest
    provided: Provided
    config: ModelConfig
    tokens: StageOutput
    vocabulary: StageOutput
    replay: Replay | None = None

    @property
    def counted(self) -> bool:
        """Whether the model is count-based rather than neural."""
        spec: Architecture = self.provided.spec
        return spec.counted

    @property
    def action(self) -> Action:
        """All that the trained model depends on; training settings do not affect a count-based model."""
        return self.action_with({})

    def action_with(self, changed: Mapping[str, Any]) -> Action:
        """The action with other training settings."""
        settings = self.context.config.train.identity(INCIDENTAL)
        settings |= {key: value for key, value in changed.items() if key in settings}
        if self.replay is not None:
            settings = {key: value for key, value in settings.items() if key not in LENGTHS}
            settings["plan"] = self.replay.plan
        elif settings["steps"] is not None:
            del settings["budget"]
        if self.counted:
            settings = {}
        arch, warm_start = self.request.arch, self.request.warm_start
        inputs = {"tokens": self.tokens.digest, "vocabulary": self.vocabulary.digest}
        started = {}
        if warm_start is not None:
            inputs["parent"] = warm_start.checkpoint
            started = {"offset": warm_start.offset}
        return Action(
            "train",
            VERSION,
            inputs,
            {"arch": arch, arch: self.config.model_dump(mode="json"), "train": settings, **started},
            {arch: self.provided.provider.digest()},
        )

    def create_run(self) -> Run:
        """A new run of this plan, with its own copy of the vocabulary."""
        corpus, config = self.context.corpus(self.request.corpus)
        name = new_name(corpus, self.request.arch)
        while self.context.runs.is_taken(name):
            name = new_name(corpus, self.request.arch)
        vocabulary = (self.context.path(self.vocabulary) / "vocabulary.json").read_bytes()
        run = Run.create(self.context.workspace.runs / name, self._info(name, corpus, config), vocabulary)
        if tags := parse_tags(self.context.config.tracking.tags):
            write_annotations(run.folder, Annotations(tags=tags))
        return run

    def _info(self, name: str, corpus: str, config: CorpusConfig) -> RunInfo:
        context, request, begun = self.context, self.request, self.request.warm_start
        origin = common_origin(context.resolved, corpus, config)
        settings = dict(flatten(context.config.model_dump(mode="json", include=RECORDED)))
        inputs = {
            "documents": self.tokens.inputs["documents"],
            "vocabulary": self.vocabulary.digest,
            "tokens": self.tokens.digest,
        }
        return RunInfo(
            schema=SCHEMA,
            name=name,
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
            action=self.action.digest,
            corpus=corpus,
            architecture=request.arch,
            architecture_config=self.config.model_dump(mode="json"),
            vocabulary_size=self.vocabulary.facts["size"],
            inputs=inputs,
            paths={"vocabulary": self.vocabulary.path, "tokens": self.tokens.path},
            plugins=self._plugins(),
            request={"pipeline": request.pipeline, "options": dict(request.options or {})},
            settings=settings,  # includes unset ones, so that a later resume does not set them
            origins=dict(context.resolved.origins),
            versions={name: version(name) for name in ("charpipe", "torch")}
            | {"python": platform.python_version()},
            facts={"tokens": dict(self.tokens.facts), "counted": self.counted}
            | ({"start": begun.to_json()} if begun else {})
            | ({"origin": origin} if origin else {})
            | ({"replay": self.replay.to_json()} if self.replay else {}),
            parent=begun.run if begun else None,
        )

    def _plugins(self) -> dict[str, PluginUsed]:
        tokenizer = str(self.vocabulary.facts["tokenizer"])
        used = {
            self.request.arch: self.provided.provider,
            tokenizer: self.context.registry.find("tokenizer", tokenizer).provider,
        }
        return {
            name: PluginUsed(module=one.module, version=one.version, digest=one.digest())
            for name, one in used.items()
        }


def check(context: Context, corpus: str, arch: str) -> None:
    """Raise if a request has invalid names or settings, before anything starts."""
    if context.resume is None:
        _, config = context.corpus(corpus)
        context.registry.find("tokenizer", config.tokenizer.name)
    check_decoders(context)
    architecture(context, arch)
    if context.config.tracking.enabled:
        locate(context.config.tracking, context.workspace.root / "mlflow")


def check_here(
    context: Context, corpus: str, arch: str, warm_start: str | None = None, replay: str | None = None
) -> None:
    """Like `check`, and also check what depends on this machine: its device, its disk, the runs to start from
    or to replay."""
    check(context, corpus, arch)
    if not context.dry_run:
        check_workspace_disk(context.workspace)
    if not architecture(context, arch)[0].spec.counted:
        context.group.check(context.config.train.shards)
        check_device(context)
    elif context.group.size > 1:
        raise UsageError(
            f"{arch} is a count-based model, which one process counts by itself; nothing was done; "
            "start one process"
        )
    if warm_start is not None and context.resume is None:
        find_warm_start(dataclasses.replace(context, emit=lambda event: None), warm_start)
    if replay is not None:
        check_replay(context, corpus, arch, replay)


def check_decoders(context: Context) -> None:
    """Raise UsageError if the settings name an unknown decoder, or one of its options is invalid."""
    if context.config.sample.decoders:  # charpipe's own settings are checked with the rest
        configured(context.config.sample, context.registry.all("decoder"))


def check_device(context: Context) -> None:
    """Raise UsageError if the requested device, precision or engine is not available here.

    `auto` and the CPU's usual settings need no check, and so no import of torch.
    """
    train = context.config.train
    if train.device in ("auto", "cpu") and train.precision != "float16" and train.engine != "cuda-graphs":
        return
    device = choose_device(train.device)
    choose_precision(train.precision, device)
    if train.engine == "cuda-graphs" and device.type != "cuda":
        raise UsageError(
            "the engine cuda-graphs needs a CUDA device, and there is none here; leave --engine out, "
            "or use --engine plain"
        )


def make_plan(
    context: Context, request: TrainRequest, tokens: StageOutput, vocabulary: StageOutput
) -> TrainingJob:
    """Resolve a request. Raises UsageError for an unknown architecture or an invalid setting of it."""
    provided, config = architecture(context, request.arch)
    total, count = sum(tokens.facts["tokens"].values()), tokens.facts["tokens"]["train"]
    if total < MIN_TOKENS:
        raise UsageError(
            f"the text is too short to train on: it has {total} token{'' if total == 1 else 's'}, and training needs "
            f"at least {MIN_TOKENS}; name a longer text"
        )
    if count < MIN_TOKENS:
        raise UsageError(
            f"the training split holds {count} tokens, and training needs at least {MIN_TOKENS}; name a larger "
            "corpus, or give train a larger fraction of it: --set corpus.split.train=1 --set corpus.split.val=0 "
            "--set corpus.split.test=0"
        )
    config = warm_start_config(context, request.warm_start, config, vocabulary.facts["size"])
    replay = find_replay(context, request.replay, tokens.digest, request.warm_start)
    return TrainingJob(context, request, provided, config, tokens, vocabulary, replay)
