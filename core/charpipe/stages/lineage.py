"""How a corpus is divided is fixed when it is first ingested, so that a later version never moves an old document."""

from __future__ import annotations

import json
from typing import Any

from charpipe.stages.session import Made, Session
from charpipe.store.atomic import write_json
from charpipe.text.settings import SplitConfig
from charpipe.text.splits import split_by


def split_settings(session: Session, corpus: str, wanted: SplitConfig, documents: Made) -> SplitConfig:
    """The settings of the split with nothing left open: the mode and salt that this corpus got first, unless asked
    for otherwise by the user."""
    path = session.workspace.store / "lineage" / f"{corpus}.json"
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    by = known["by"] if wanted.by == "auto" and known else split_by(wanted, documents.facts["documents"])
    salt = wanted.salt or known.get("salt") or corpus
    if not known:
        write_json(path, {"by": by, "salt": salt, "documents": documents.digest})
    return wanted.model_copy(update={"by": by, "salt": salt})
