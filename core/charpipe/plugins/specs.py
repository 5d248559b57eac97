"""What plugins provide, a frozen class for each kind.

What is heavy is named by a string (`"charpipe_lstm.model:build"`) and imported when it is used, so that listing plugins
imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from charpipe.cells import Cell
from charpipe.plugins.options import ArchitectureConfig, ModelConfig, Options
from charpipe.plugins.references import API, Reference


@dataclass(frozen=True)
class Architecture:
    """A model family, either learnt or counted.

    Learnt by gradient: `cell` is a recurrent cell, a class derived from `Cell` (or a reference to one), which is made
    with the config; or `build(config, vocabulary_size)` returns a module that keeps the model contract.

    Counted: `fit(config, vocabulary_size, tokens)` is a generator over training tokens (one dimension, unsigned,
    memory-mapped). It yields events, `StageProgress("train", done, total, unit)` and `Notice`, often, since charpipe
    can stop it only between two of them, and returns a `FittedPredictor`: a predictor whose `tensors()` are all that it
    needs to be saved. `restore(config, vocabulary_size, tensors)` makes it again of what was saved; it trusts none of
    it and raises `ValueError` saying what does not fit.
    """

    name: str
    summary: str
    config: type[ModelConfig] = ArchitectureConfig
    build: Reference | None = None
    fit: Reference | None = None
    restore: Reference | None = None
    api: int = API
    cell: type[Cell] | str | None = None

    @property
    def counted(self) -> bool:
        """Whether it is counted, not learnt by gradient."""
        return self.build is None and self.cell is None


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
class StorageBackend:
    """Storage for a shared store: everything whose `[store] url` begins with `scheme:`.

    `open(url, endpoint)` returns a `charpipe.store.backends.Backend`, or raises `UsageError` for a URL that it does not
    understand. The URL holds no secret; credentials come from the environment."""

    scheme: str
    summary: str
    open: Reference
    api: int = API


@dataclass(frozen=True)
class Decoder:
    """How the next character is chosen. `choose(config, vocabulary_size)` returns a function from scores to scores,
    float64 [..., V], whose softmax is drawn from after it; a score of minus infinity is never drawn. It must not
    change its argument. Several decoders follow each other. Raises `UsageError` for settings that do not fit.

    Where every function is a `charpipe.kernels.rows.RowFormula`, it is compiled as well, and a long text is sampled
    without a call of Python for each token.

    Instead of `choose`, `constrain(config, encoding)` returns a `Constraint`, which knows what was generated before and
    says which tokens may follow. It applies before all functions; where the text may end and a token is drawn that may
    not follow, the text ends before it."""

    name: str
    summary: str
    choose: Reference | None = None
    config: type[Options] = Options
    api: int = API
    constrain: Reference | None = None


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
class Pipeline:
    """What `charpipe run NAME` can run.

    `recipe(context, options)` calls stages one after another and returns a `PipelineResult`; the fields of `options`
    become the command's flags. `check(context, options)` raises what is wrong with a request before anything starts,
    `title(options)` names it in a few words, and `show(result, dry_run=...)` gives the lines that are printed at the
    end: texts, and `Table`s.

    Any recipe can be scheduled. `flow` is the module path of a Prefect flow of your own (`"my_flows.weekly"`) to be
    deployed instead of the recipe's; its parameters are plain JSON: `options`, `settings` and `workspace`. The
    workspace is None where a pool's worker runs it, in its own workspace (`charpipe deploy`)."""

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
class Check:
    """A part of `charpipe doctor`. `run(surroundings)` returns `Finding`s; it changes nothing, waits at most
    `surroundings.seconds` for a server, and imports what is heavy only where it is needed.

    `surroundings` has the `workspace`, the `registry`, the settings as `resolved` (None where the project file is not
    valid), the environment as `environ`, and `cluster`: a team's servers are to be examined even where none is named.
    """

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
