"""How a corpus is divided is fixed when it is first ingested, so that a later version never moves an old document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from charpipe.corpus.settings import CorpusConfig
from charpipe.stages.session import Made, Session
from charpipe.store.atomic import write_json
from charpipe.store.digest import digest_of_json
from charpipe.text.settings import SplitConfig
from charpipe.text.splits import split_by


def split_settings(session: Session, corpus: str, config: CorpusConfig, documents: Made) -> SplitConfig:
    """The settings of the split with nothing left open: the mode and salt that this corpus got first, unless asked
    for otherwise by the user."""
    path = session.workspace.store / "lineage" / f"{_key(session, corpus, config)}.json"
    wanted, known = config.split, _read(path)
    by = known["by"] if wanted.by == "auto" and known else split_by(wanted, documents.facts["documents"])
    salt = wanted.salt or known.get("salt") or corpus
    if not known:
        write_json(path, {"by": by, "salt": salt, "documents": documents.digest})
    return wanted.model_copy(update={"by": by, "salt": salt})


def _key(session: Session, corpus: str, config: CorpusConfig) -> str:
    """A corpus of the catalogue is known by its name; one named by its path, by where it lies as well."""
    if corpus in session.config.corpora:
        return corpus
    return f"{corpus}-{digest_of_json(config.sources)[:12]}"


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) and value.get("by") in ("documents", "contiguous") else {}
