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
from charpipe.errors import StoreError
from charpipe.stages.objects import Made
from charpipe.stages.stage import Context
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
    from charpipe.corpus.known_files import KnownFiles

    known = KnownFiles(context.workspace.downloads)
    try:
        manifest = read_manifest(folder)
        return manifest.check(folder, thorough=True, digest=lambda path: known.sha256(path, path.stat()))
    finally:
        known.save()


@dataclass(frozen=True)
class Division:
    """The digest of the earlier tokens that a text is split by, and the folder that records how; None: by none."""

    by: str | None = None
    earlier: Path | None = None


def division_before(
    context: Context, corpus: str, inputs: Mapping[str, str], settings: Mapping[str, Any]
) -> Division | None:
    """How these documents were split when first encoded, if the result still exists: they keep that split,
    whatever was read since. If the tokens they were split by are gone, the tokens made from them
    say the same. None if they were never encoded."""
    for _, record in sorted(context.store.records(), key=lambda found: str(found[1]["made"])):
        action = record["action"]
        others = {name: digest for name, digest in action["inputs"].items() if name != "divided"}
        same = action["stage"] == "encode" and others == inputs and action["settings"] == settings
        own = context.store.object(record["object"])
        if same and record["subject"] == corpus and own.is_dir():
            by = action["inputs"].get("divided")
            if by is None:
                return Division()
            earlier = context.store.object(by)
            return Division(by, earlier if earlier.is_dir() else own)
    return None


def earlier_tokens(context: Context, corpus: str, documents: Made, settings: Mapping[str, Any]) -> Division:
    """Split by the newest tokens of other documents of this corpus with the same split settings: documents in them
    keep their split. By none if the corpus is unchanged since its first version, or they are gone."""
    same = [
        record
        for _, record in context.store.records()
        if record["subject"] == corpus
        and record["action"]["stage"] == "encode"
        and record["action"]["settings"] == settings
        and record["action"]["inputs"].get("documents") != documents.digest
    ]
    for record in sorted(same, key=lambda record: str(record["made"]), reverse=True):
        folder = context.store.object(record["object"])
        if (folder / "splits.parquet").is_file() and (folder / "tokens.json").is_file():
            return Division(folder.name, folder)
    return Division()


def split_settings(context: Context, corpus: str, config: CorpusConfig, documents: Made) -> SplitConfig:
    """The complete split settings: the mode and salt that this corpus first got, unless the user asks for
    others."""
    path = context.workspace.store / "lineage" / f"{file_name(corpus)}.json"
    wanted, known = config.split, _read(path) or _read_earlier(context, corpus, config)
    by = known["by"] if wanted.by == "auto" and known else split_by(wanted, documents.facts["documents"])
    salt = wanted.salt or known.get("salt") or corpus
    if not _read(path):
        write_json(path, {"by": by, "salt": salt, "documents": documents.digest})
    return wanted.model_copy(update={"by": by, "salt": salt})


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
