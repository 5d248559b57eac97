"""What plugins get and return: vocabularies in use, fetched sources, the facts of an update, the result of a recipe."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

END_TOKEN = "end_token"  # noqa: S105
"""The attribute of an encoding, and the key of `vocabulary.json`."""


class IncrementalDecoder(Protocol):
    """Turns token ids into text as they come; an unfinished character waits for its rest."""

    def decode(self, ids: Iterable[int], final: bool = False) -> str: ...


class Encoding(Protocol):
    """A vocabulary made usable.

    `encode` returns a one-dimensional array of the smallest unsigned type that holds `size` tokens and
    raises `UsageError` naming the first character it does not know; `labels[i]` is a printable name of token i.
    Where the corpus asks for ends of documents, charpipe sets an attribute, which `end_token` reads.
    """

    size: int
    labels: Sequence[str]

    def encode(self, text: str) -> np.ndarray[Any, Any]: ...
    def decoder(self) -> IncrementalDecoder: ...


def end_token(encoding: Encoding) -> int | None:
    """The token that ends a document, or None where the corpus asked for none."""
    token = getattr(encoding, END_TOKEN, None)
    return token if isinstance(token, int) else None


class Constraint(Protocol):
    """What a decoder's `constrain` returns: which tokens may follow in a text that must be complete at its end.

    A place in a text is any hashable value, so that many texts and beam search share one constraint. Texts are
    generated in several threads.
    """

    @property
    def start(self) -> Any:
        """The place before the first token."""
        ...

    @property
    def shortest(self) -> int:
        """The number of tokens of the shortest complete text."""
        ...

    def allowed(self, place: Any, remaining: int) -> np.ndarray[Any, Any]:
        """bool [V]: the tokens after which the text can be completed within `remaining` tokens, themselves included."""
        ...

    def after(self, place: Any, token: int) -> Any:
        """The place after an allowed token."""
        ...

    def complete(self, place: Any) -> bool:
        """Whether the text may end here."""
        ...


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
class Announcement:
    """What automations are told of a result: `name` (`model.promoted`), what it is about, and facts in JSON."""

    name: str
    subject: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """What a check of `charpipe doctor` found, in one sentence, and for a warning or a problem how to mend it.

    A problem keeps charpipe, or a server that the settings name, from working; with a warning it works less well.
    """

    check: str
    level: Literal["ok", "warning", "problem"]
    message: str
    remedy: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding for `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class Table:
    """A table among the lines that a pipeline shows; it is printed as wide as the terminal is.

    `rows` hold formatted cells, one a column. The columns `numbers` are aligned to the right. Where the terminal is too
    narrow, columns are left out, first those of `drop` in their order; the cells of `whole` are never cut or wrapped.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[str] = ()
    drop: Sequence[str] = ()
    whole: Sequence[str] = ()


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
