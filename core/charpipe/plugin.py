"""All that a plugin author imports: the hook marker, the spec classes and the contracts behind them.

Specs are small and frozen. What is heavy is named by a string (`"charpipe_lstm.model:build"`) and
imported only when it is used, so that listing plugins imports no torch.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import pluggy
from pydantic import BaseModel, ConfigDict, Field

from charpipe.errors import CharpipeError, CorpusError, PluginError, UsageError
from charpipe.events import Event, Notice, StageProgress
from charpipe.store.paths import existing, printable
from charpipe.store.secrets import redact

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

API = 1
"""The version of these contracts. A plugin that asks for a later one is refused by name."""

hookimpl = pluggy.HookimplMarker("charpipe")

Reference = str | Callable[..., Any]
"""A callable, or `"module:attribute"` naming one that is imported when it is first used."""


def resolve(reference: Reference) -> Callable[..., Any]:
    """The callable behind a reference. Raises PluginError if it is not there."""
    if not isinstance(reference, str):
        return reference
    module, _, attribute = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(f"{reference!r} cannot be imported: {error}") from error
    if not callable(found):
        raise PluginError(f"{reference!r} is not callable")
    return found  # type: ignore[no-any-return]


class Options(BaseModel):
    """The base of every options model: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Dropout = Annotated[
    float, Field(ge=0, lt=1, description="dropped share of each layer's outputs while training")
]
"""The type of such a setting: what to leave out differs between architectures, what it means does not."""
RecurrentDropout = Annotated[
    float,
    Field(ge=0, lt=1, description="dropped share of the recurrent weights, anew each window (DropConnect)"),
]


class ModelConfig(Options):
    """The base of every architecture's settings; one that is counted rather than learnt needs no more than this."""

    @property
    def title(self) -> str:
        """What tells two models of one architecture apart, in a word or two: `1x512`, `order 10`."""
        return ""


class ArchitectureConfig(ModelConfig):
    """What every recurrent architecture has. Subclass it to add settings of your own."""

    hidden_size: int = Field(512, ge=1, le=65536, description="units in each layer")
    layers: int = Field(1, ge=1, le=64, description="stacked recurrent layers")
    dropout: Dropout = 0.0
    embedding_size: int | None = Field(
        None,
        ge=0,
        le=65536,
        description="width of a learnt input embedding; 0: one-hot, as in the blog; unset: one-hot up to 128 "
        "characters, 128 wide beyond",
    )
    tie_weights: bool = Field(
        False, description="share the embedding with the softmax head (needs equal widths)"
    )

    @property
    def title(self) -> str:
        """`1x512`: layers and hidden units."""
        return f"{self.layers}x{self.hidden_size}"


class RecurrentConfig(ArchitectureConfig):
    """What architectures have that `charpipe.models.TorchRecurrence` makes of PyTorch's layers."""

    locked_dropout: bool = Field(
        False,
        description="drop the same units through a whole window (variational dropout), not anew each step",
    )
    recurrent_dropout: RecurrentDropout = 0.0
    initialisation: Literal["usual", "orthogonal", "char-rnn", "min-char-rnn"] = Field(
        "usual",
        description="first weights: usual: uniform with 1/sqrt(units), and one-hot's normal with 1; orthogonal: "
        "recurrent ones so; char-rnn: all uniform within 0.08; min-char-rnn: normal with 0.01, one bias a unit",
    )


@dataclass(frozen=True)
class Architecture:
    """A model family, either learnt or counted.

    Learnt by gradient: `build(config, vocabulary_size)` returns a module that keeps the model contract.

    Counted: `fit(config, vocabulary_size, tokens)` is a generator over training tokens (one dimension, unsigned,
    memory-mapped). It yields events, `StageProgress("train", done, total, unit)` and `Notice`, often, since charpipe
    can stop it only between two of them, and returns a `FittedPredictor`: a predictor whose `tensors()` are all that
    it needs to be saved. `restore(config, vocabulary_size, tensors)` makes it again of what was saved; it trusts
    none of it and raises `ValueError` saying what does not fit.
    """

    name: str
    summary: str
    config: type[ModelConfig] = ArchitectureConfig
    build: Reference | None = None
    fit: Reference | None = None
    restore: Reference | None = None
    api: int = API


class IncrementalDecoder(Protocol):
    """Turns token ids into text as they come; an unfinished character waits for its rest."""

    def decode(self, ids: Iterable[int], final: bool = False) -> str: ...


class Encoding(Protocol):
    """A vocabulary made usable.

    `encode` returns a one-dimensional array of the smallest unsigned type that holds `size` tokens and
    raises `UsageError` naming the first character it does not know; `labels[i]` is a printable name of token i.
    """

    size: int
    labels: Sequence[str]

    def encode(self, text: str) -> np.ndarray[Any, Any]: ...
    def decoder(self) -> IncrementalDecoder: ...


@dataclass(frozen=True)
class Tokenizer:
    """How text becomes tokens. `learn(counts, config)` makes a vocabulary, a JSON object, of the corpus's
    character counts (`{"a": 12, ...}`; empty where `counts` is False); `load(vocabulary)` returns its `Encoding`.

    `extend(vocabulary, counts, config)` returns that vocabulary with what it lacks of these characters appended: every
    token keeps its number. Without it a vocabulary is never extended, and a model goes on only with the very same."""

    name: str
    summary: str
    learn: Reference
    load: Reference
    config: type[Options] = Options
    counts: bool = True
    api: int = API
    extend: Reference | None = None


@dataclass(frozen=True)
class Fetched:
    """Where a source's content lies now: a file, an archive or a folder, or `text` itself.

    `origin` says in words where it came from; `sha256` is that of a single fetched file, as received. With `only`
    those files and folders below the folder `path` are meant, by relative path. `notices` and `warnings` are
    sentences for whoever asked for the corpus.
    """

    origin: str
    path: Path | None = None
    text: str | None = None
    sha256: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    only: frozenset[str] = frozenset()
    notices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Fetcher(Protocol):
    """What a source needs while it fetches: a folder of its own to keep downloads in, and someone to tell.

    With `refresh` a source that keeps downloads asks whether there is something newer than what it has, and raises
    `CorpusError` where it cannot; otherwise what it has will do."""

    cache: Path
    sha256: str | None
    refresh: bool

    def progress(self, done: int, total: int | None) -> None: ...


@dataclass(frozen=True)
class Source:
    """Where corpora come from: everything named `scheme:...` in a corpus's `sources`.

    `fetch(spec, fetcher)` returns a `Fetched`, or None where the source is not there, or raises `CorpusError`;
    `there(spec, cache)` says without fetching whether it already lies on this machine.
    """

    scheme: str
    summary: str
    fetch: Reference
    there: Reference
    api: int = API


@dataclass(frozen=True)
class Decoder:
    """How the next character is chosen. `choose(config, vocabulary_size)` returns a function from scores to scores,
    float64 [..., V], whose softmax is drawn from after it; a score of minus infinity is never drawn. It must not
    change its argument. Several decoders follow each other. Raises `UsageError` for settings that do not fit.

    Where every function is a `charpipe.kernels.rows.RowFormula`, it is compiled as well, and a long text is sampled
    without a call of Python for each token."""

    name: str
    summary: str
    choose: Reference
    config: type[Options] = Options
    api: int = API


@dataclass(frozen=True)
class Facts:
    """What is known after an update or an evaluation: the argument of a metric's function.

    Losses are in nats per token. What is not known is None: an evaluation has no gradient and no learning rate.
    """

    step: int
    """Updates made so far."""
    tokens: int | None = None
    """Tokens trained on so far."""
    seconds: float | None = None
    """Training time so far, in all processes of the run."""
    loss: float | None = None
    """Training loss: its mean over the updates since the last report, or since the last evaluation."""
    grad_norm: float | None = None
    """L2 norm of the whole gradient before clipping: its mean over the updates since the last report. Where the
    gradient is not clipped by its norm, that of the last update."""
    learning_rate: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What charpipe itself reports with this update or evaluation, by name (`val/loss`)."""
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    """The model's tensors by name, as in `model.safetensors`. Each is copied when it is read."""


@dataclass(frozen=True)
class Metric:
    """A number that is reported while a model trains, such as `train/grad_norm`.

    `function(facts)` computes it from `Facts`: a float, an int or a scalar tensor; None where it is not known. It is
    called where updates are reported, every tenth one (`when="update"`), or where the model is evaluated
    (`when="evaluation"`). A metric that raises, or that is no finite number, is left out with one warning.

    `name` is a group and a name, with a slash between them. It reaches `metrics.jsonl`, MLflow, the run's report and
    the terminal.
    """

    name: str
    summary: str
    function: Reference
    when: Literal["update", "evaluation"] = "update"
    api: int = API


@dataclass(frozen=True)
class Announcement:
    """What automations are told of a result: `name` (`model.promoted`), what it is about, and facts in JSON."""

    name: str
    subject: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PipelineResult:
    """The base of what recipes return: frozen dataclasses, whose fields are the keys of `--json`."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)

    def skipped(self) -> str | None:
        """Why there was nothing to do, if there was nothing: its flow run ends in a state named Skipped."""
        return None

    def announcement(self) -> Announcement | None:
        """What automations are told, if anything."""
        return None


@dataclass(frozen=True)
class Pipeline:
    """What `charpipe run NAME` can run.

    `recipe(context, options)` calls stages one after another and returns a `PipelineResult`; the fields of `options`
    become the command's flags. `check(context, options)` raises what is wrong with a request before anything starts,
    `title(options)` names it in a few words, and `show(result)` gives the lines that are printed at the end.

    Any recipe can be scheduled. `flow` is the module path of a Prefect flow of your own (`"my_flows.weekly"`) to be
    deployed instead of the recipe's; its parameters are plain JSON: `options`, `settings` and `workspace`."""

    name: str
    summary: str
    recipe: Reference
    options: type[Options] = Options
    api: int = API
    flow: str | None = None
    stages: tuple[str, ...] = ()
    """The stages that are known before it begins, in order: shown as still to come."""
    check: Reference | None = None
    title: Reference | None = None
    show: Reference | None = None


@dataclass(frozen=True)
class Runner:
    """Who carries out the recipes of `charpipe run`: `run(pipeline, options, context)` returns the recipe's result.
    Without a runner recipes are carried out in the process itself, as `charpipe.train` does."""

    name: str
    summary: str
    run: Reference
    api: int = API


@dataclass(frozen=True)
class Command:
    """A command of the command line. `app` names a function that typer understands, or a `typer.Typer`, which becomes a
    group of commands. With `factory`, `app` names a function that gets the plugin registry and returns either of them.

    `summary` stands in the list of commands; a function's docstring is its help."""

    name: str
    summary: str
    app: Reference
    api: int = API
    factory: bool = False


__all__ = [
    "API",
    "Announcement",
    "Architecture",
    "ArchitectureConfig",
    "CharpipeError",
    "Command",
    "CorpusError",
    "Decoder",
    "Dropout",
    "Encoding",
    "Event",
    "Facts",
    "Fetched",
    "Fetcher",
    "IncrementalDecoder",
    "Metric",
    "ModelConfig",
    "Notice",
    "Options",
    "Pipeline",
    "PipelineResult",
    "PluginError",
    "RecurrentConfig",
    "RecurrentDropout",
    "Runner",
    "Source",
    "StageProgress",
    "Tokenizer",
    "UsageError",
    "existing",
    "hookimpl",
    "printable",
    "redact",
    "resolve",
]
