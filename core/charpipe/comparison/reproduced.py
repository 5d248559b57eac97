"""The end of a reproduction: its table is written, given to MLflow, and told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from charpipe.comparison.concluding import FOLDER
from charpipe.comparison.reproducing import Reproduction
from charpipe.comparison.reproduction import Result, write
from charpipe.errors import Incomplete
from charpipe.stages import Session


def tabulate(session: Session, reproduction: Reproduction, results: Sequence[Result]) -> dict[str, Any]:
    """Write and return the table: `{"reproduction", "scaled_to", "folder", "results": [...]}`.

    Raises Incomplete, which carries the same, where a text could not be read, a training failed, or nothing was
    trained at all.
    """
    found: dict[str, Any] = {
        "reproduction": reproduction.name,
        "scaled_to": reproduction.scaled_to,
        "folder": "",
        "results": [asdict(one) for one in results],
    }
    if session.dry_run:
        return found
    folder = session.workspace.root / FOLDER / reproduction.name
    write(folder, results)
    found["folder"] = str(folder)
    failed = len({(one.corpus, one.model) for one in results if one.failed})
    if failed or all(one.here is None for one in results):
        what = f"{failed} row{'' if failed == 1 else 's'} failed" if failed else "nothing was trained"
        raise Incomplete(
            f"{what}, and the table says why; what was trained is kept: the same command again tries the rest",
            found,
        )
    return found
