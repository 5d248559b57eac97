"""Keeps a corpus's split fixed from its first ingestion, so that a later version never moves an old document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from charpipe.config.identity import file_name
from charpipe.config.settings.corpus import CorpusConfig
from charpipe.config.settings.text import SplitConfig
from charpipe.corpus.known_files import KnownFiles
from charpipe.errors import StoreError
from charpipe.stages.context import Context
from charpipe.stages.lineage import agree
from charpipe.stages.objects import StageOutput
from charpipe.store import Action
from charpipe.store.atomic import write_json
from charpipe.store.digest import digest_of_json
from charpipe.store.manifest import read_manifest
from charpipe.text.splits import split_by

if TYPE_CHECKING:
    from charpipe.corpus.contents import Contents
    from charpipe.corpus.previous_version import PreviousVersion


def earlier_documents(
    context: Context, action: Action, corpus: str, contents: Contents
) -> PreviousVersion | None:
    """The newest documents of this corpus made with the same settings, if every byte of them is intact;
    `contents` is the current content of each file of the source's folder. Files of the store that have not been
    touched since they were last hashed are not hashed again."""
    if not contents or "ingest" in context.force:
        return None
    wanted = action.to_json() | {"inputs": None}
    same = [
        record
        for _, record in context.store.records()
        if record["subject"] == corpus and record["action"] | {"inputs": None} == wanted
    ]
    for record in sorted(same, key=lambda record: str(record["made"]), reverse=True):
        folder = context.store.object(record["object"])
        try:
            if _damage(context, folder) is not None:
                continue
        except (StoreError, OSError):
            continue
        from charpipe.corpus.previous_version import PreviousVersion

        return PreviousVersion(folder, contents.by_printed_path)
    return None


def _damage(context: Context, folder: Path) -> str | None:
    known = KnownFiles(context.workspace.downloads)
    try:
        manifest = read_manifest(folder)
        return manifest.check(folder, thorough=True, digest=lambda path: known.sha256(path, path.stat()))
    finally:
        known.save()


@dataclass(frozen=True)
class Division:
    """The digest of the earlier tokens that a text is split by, and that of the tokens that record how; None: by
    none."""

    by: str | None = None
    earlier: str | None = None


def division_before(
    context: Context, corpus: str, inputs: Mapping[str, str], settings: Mapping[str, Any]
) -> Division | None:
    """How these documents were split when first encoded, if the result still exists: they keep that split,
    whatever was read since. If the tokens they were split by are gone, the tokens made from them
    say the same. None if they were never encoded."""
    store = context.store
    for record in store.history("encode", corpus):
        action, own = record["action"], str(record["object"])
        others = {name: digest for name, digest in action["inputs"].items() if name != "divided"}
        if others == inputs and action["settings"] == settings and store.holds(own):
            by = action["inputs"].get("divided")
            return Division() if by is None else Division(by, by if store.holds(by) else own)
    return None


def earlier_tokens(
    context: Context, corpus: str, documents: StageOutput, settings: Mapping[str, Any]
) -> Division:
    """Split by the newest tokens of other documents of this corpus with the same split settings: documents in them
    keep their split. By none if the corpus is unchanged since its first version, or they are gone."""
    for record in reversed(context.store.history("encode", corpus)):
        action, digest = record["action"], str(record["object"])
        others = action["inputs"].get("documents") != documents.digest
        if others and action["settings"] == settings and _records_splits(context, digest):
            return Division(digest, digest)
    return Division()


def _records_splits(context: Context, digest: str) -> bool:
    folder = context.store.object(digest)
    if folder.is_dir():
        return (folder / "splits.parquet").is_file() and (folder / "tokens.json").is_file()
    return context.store.holds(digest)


def recorded_splits(context: Context, division: Division) -> Path | None:
    """The tokens that record how a text is split; from the shared store if they are not here. None: by none.

    Raises StoreError if they are gone.
    """
    if division.earlier is None:
        return None
    folder = context.store.obtain(division.earlier, "encode")
    if not folder.is_dir():
        raise StoreError(
            f"the tokens {division.earlier[:12]}, by which this text is split, cannot be pulled now; nothing was "
            "encoded; type the same command again once the shared store answers"
        )
    return folder


def split_settings(
    context: Context, corpus: str, config: CorpusConfig, documents: StageOutput
) -> SplitConfig:
    """The complete split settings: the mode and salt that this corpus first got, unless the user asks for
    others. Splits that are given stay as they are."""
    path = context.workspace.store / "lineage" / f"{file_name(corpus)}.json"
    wanted, recorded = config.split, _read(path)
    if wanted.is_given:
        _shared(context, corpus, config, documents, {})
        return wanted.model_copy(update={"by": split_by(wanted, documents.facts["documents"]), "salt": None})
    known = _shared(context, corpus, config, documents, recorded or _read_earlier(context, corpus, config))
    by = known["by"] if wanted.by == "auto" and known else split_by(wanted, documents.facts["documents"])
    salt = wanted.salt or known.get("salt") or corpus
    if not recorded or recorded.get("shared") != known.get("shared"):
        shared = {"shared": known["shared"]} if known.get("shared") else {}
        write_json(path, {"by": by, "salt": salt, "documents": documents.digest} | shared)
    return wanted.model_copy(update={"by": by, "salt": salt})


def _shared(
    context: Context, corpus: str, config: CorpusConfig, documents: StageOutput, known: dict[str, Any]
) -> dict[str, Any]:
    """The division on which all machines agree, if they share a store; it holds against `known`, this workspace's."""
    url = context.config.store.url
    if url is None:
        return known
    remembered = known.get("shared") or {}
    fractions = SplitConfig() if config.split.is_given else config.split
    by = known.get("by") or split_by(fractions, documents.facts["documents"])
    salt = known.get("salt") or config.split.salt or corpus
    name = {"shared": remembered["name"]} if remembered.get("url") == url else {}
    agreed = agree(context, corpus, config, documents, {"by": by, "salt": salt} | name)
    if known and (agreed["by"], agreed["salt"]) != (by, salt):
        context.notice(
            f"{corpus} was divided otherwise in this workspace ({by}, salt {salt}); from now on it is divided as in "
            f"{url} ({agreed['by']}, salt {agreed['salt']})",
            "warning",
        )
    return agreed | ({"shared": {"url": url, "name": agreed["shared"]}} if "shared" in agreed else {})


def _read_earlier(context: Context, corpus: str, config: CorpusConfig) -> dict[str, Any]:
    """The names charpipe 0.1 used: for a catalogue corpus its name, for one given by path its file name and a
    digest of its location."""
    name = corpus
    if corpus not in context.config.corpora:
        name = f"{PurePath(config.sources[0]).name}-{digest_of_json(config.sources)[:12]}"
    return _read(context.workspace.store / "lineage" / f"{name}.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) and value.get("by") in ("documents", "contiguous") else {}
