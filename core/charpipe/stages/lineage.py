"""How the machines that share a store agree on the division of a corpus into splits.

`lineage/<name>.json` of the shared store is created by the first machine that encodes a corpus, and never changed. It
holds the mode and the salt of the division, and a sketch of the text: another project's corpus of the same name, whose
text has nothing in common with it, gets a lineage of its own (`<name>~2.json`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from charpipe.config.corpora import common_origin
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.errors import StoreError
from charpipe.stages.context import Context
from charpipe.stages.objects import StageOutput
from charpipe.store.paths import plain_key

if TYPE_CHECKING:
    from charpipe.store.backends import Backend

FOLDER = "lineage"


def agree(
    context: Context, corpus: str, config: CorpusConfig, documents: StageOutput, proposal: Mapping[str, Any]
) -> dict[str, Any]:
    """The division that holds for this corpus on all machines: `proposal`, if this machine is the first to encode it.

    `proposal` has the keys `by` and `salt`, and `shared`, the corpus's name in the shared store, if it is known. While
    the shared store does not answer, the proposal holds on this machine.
    """
    shared = context.store.shared
    if shared is None:
        return dict(proposal)
    claim = _Claim(context, corpus, config, documents, proposal)
    found = shared.ask(claim.decide, None)
    if found is None:
        return dict(proposal)
    name, lineage = found
    if not context.dry_run:
        shared.set_subject(corpus, name)
        _resolve_unnamed(context, corpus, name, lineage)
    return {"by": lineage["by"], "salt": lineage["salt"], "shared": name}


class _Claim:
    """The search for a corpus's lineage in the shared store, or the creation of one."""

    def __init__(
        self,
        context: Context,
        corpus: str,
        config: CorpusConfig,
        documents: StageOutput,
        proposal: Mapping[str, Any],
    ) -> None:
        self._context, self._corpus, self._documents, self._proposal = context, corpus, documents, proposal
        self._origin = common_origin(context.resolved, corpus, config)
        self._sketch: list[str] | None = None

    def decide(self, backend: Backend) -> tuple[str, dict[str, Any]] | None:
        """The corpus's name in the shared store and its lineage; None in a dry run if there is none yet."""
        known = self._proposal.get("shared")
        if known and (lineage := _read(backend, str(known))) is not None:
            return str(known), lineage
        for number in count(1):
            name = plain_key(self._corpus) if number == 1 else f"{plain_key(self._corpus)}~{number}"
            lineage = _read(backend, name) or self._create(backend, name)
            if lineage is None:
                return None
            if self._is_ours(lineage):
                return name, lineage
        return None

    def _create(self, backend: Backend, name: str) -> dict[str, Any] | None:
        if self._context.dry_run:
            return None
        made = {
            "corpus": self._corpus,
            "by": self._proposal["by"],
            "salt": self._proposal["salt"],
            "documents": self._documents.digest,
            "origin": self._origin,
            "sketch": self._own_sketch(),
        }
        data = json.dumps(made, ensure_ascii=False).encode()
        return made if backend.create(_key(name), data) is not None else _read(backend, name)

    def _is_ours(self, lineage: Mapping[str, Any]) -> bool:
        """Whether a lineage is that of this corpus: of the same source everywhere, or of a text that is related."""
        if lineage["corpus"] != self._corpus:
            return False
        if self._origin is not None and lineage["origin"] is not None:
            return bool(self._origin == lineage["origin"])
        if lineage["documents"] == self._documents.digest:
            return True
        from charpipe.corpus.resemblance import are_related

        return are_related(self._own_sketch(), lineage["sketch"])

    def _own_sketch(self) -> list[str]:
        if self._sketch is None:
            from charpipe.corpus.resemblance import sketch_of

            self._sketch = sketch_of(self._context.path(self._documents))
        return self._sketch


def _resolve_unnamed(context: Context, corpus: str, name: str, lineage: Mapping[str, Any]) -> None:
    """Push what was encoded while the shared store did not answer, if no other machine has encoded this corpus since or
    divided it differently; otherwise it is made again."""
    store = context.store
    assert store.shared is not None
    for action in store.shared.unnamed(corpus):
        split = store.settings_of(action).get("split", {})
        is_given = split.get("salt") is None  # by files or by sizes: the same on every machine
        is_same = is_given or all(split.get(key) == lineage[key] for key in ("by", "salt"))
        if is_same and not store.shared.history("encode", name):
            store.shared.resolve_unnamed(action, name)
        else:
            store.shared.resolve_unnamed(action, None)
            context.notice(
                f"encode: another machine has divided {corpus} meanwhile; what was encoded here without the shared "
                "store is made again",
                "warning",
            )


@contextmanager
def alone(context: Context, corpus: str) -> Iterator[None]:
    """Be the only one, of all machines, that encodes a version of this corpus: the next one sees how it was divided."""
    shared = context.store.shared
    name = None if shared is None else shared.subject(corpus)
    if shared is None or name is None:
        yield
        return

    def wait(holder: str) -> None:
        context.notice(f"encode: waiting for {holder}, which divides {corpus}")

    lease = f"{FOLDER}/{name}"
    with shared.leased(lease, f"the splits of {corpus}", wait, lambda: context.check_stop("encode")):
        yield


def _key(name: str) -> str:
    return f"{FOLDER}/{name}.json"


def _read(backend: Backend, name: str) -> dict[str, Any] | None:
    stored = backend.read(_key(name))
    if stored is None:
        return None
    try:
        value = json.loads(stored.data)
        if value["by"] in ("documents", "contiguous") and isinstance(value["sketch"], list):
            return {"corpus": str(value["corpus"]), "salt": str(value["salt"])} | {
                key: value[key] for key in ("by", "documents", "origin", "sketch")
            }
    except (ValueError, KeyError, TypeError):
        pass
    raise StoreError(
        f"{_key(name)} in {backend.url} is damaged; it decides how the corpus is divided: restore it from a backup, or "
        "delete it, and the next machine that encodes the corpus writes it again"
    )
