"""`retraining/<corpus>.json` in the workspace: the last completed retraining.

It holds the documents and settings used, how far the data was read, and the decision. Losing it costs one
retraining, never a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charpipe.champions.state import champion_folder
from charpipe.stages.context import Context
from charpipe.store.atomic import write_json


def read_record(context: Context, corpus: str) -> Mapping[str, Any]:
    """The record of the last retraining; empty if there is none, or it is damaged."""
    try:
        value = json.loads(_file(context, corpus).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_record(context: Context, corpus: str, record: Mapping[str, Any]) -> None:
    """Replace the record."""
    write_json(_file(context, corpus), dict(record))


def whole(value: object) -> int:
    """A number of steps from a record, 0 if it is not one."""
    return value if isinstance(value, int) and value >= 0 else 0


def _file(context: Context, corpus: str) -> Path:
    return context.workspace.root / "retraining" / f"{champion_folder(context.workspace, corpus).name}.json"
