"""A checkpoint of a run as a candidate for champion."""

from __future__ import annotations

from charpipe.champions.promotion import Candidate
from charpipe.champions.state import BUNDLE
from charpipe.errors import RunError
from charpipe.runs import Run
from charpipe.store.digest import digest_of_file, digest_of_package


def candidate_of(run: Run, which: str = "best") -> Candidate:
    """The best (or "last") checkpoint of a run. Raises RunError where there is none, or files of it are missing."""
    folder, info, status = run.checkpoint(which), run.info, run.status
    try:
        files = {name: digest_of_file(folder / name) for name in BUNDLE}
    except OSError as error:
        raise RunError(
            f"the checkpoint {folder.name} of {run.name} cannot be read: {error.filename}: {error.strerror}; "
            f"type: charpipe resume {run.name}"
        ) from error
    code = {name: plugin.digest for name, plugin in info.plugins.items()}
    return Candidate(
        corpus=info.corpus,
        run=run.name,
        checkpoint=folder,
        files=files,
        architecture=info.architecture,
        inputs=info.inputs,
        action=info.action,
        code=code | {"charpipe": digest_of_package("charpipe")},
        scores={**(status.best or status.last or {}).get("metrics", {}), **status.metrics},
        parent=info.parent,
    )
