"""A check of the project file: where it is, and whether it is valid."""

from __future__ import annotations

from collections.abc import Iterator

from charpipe.config.files import NAME, VARIABLE
from charpipe.diagnostics.surroundings import Surroundings
from charpipe.plugins.contracts import Finding


def project(surroundings: Surroundings) -> Iterator[Finding]:
    """The project file of this folder, with what is wrong in it."""
    resolved = surroundings.resolved
    if resolved is None:
        message = f"the settings cannot be used: {surroundings.invalid}"
        yield Finding(
            "project", "problem", message, f"correct {NAME}; the other checks ran with the defaults"
        )
    elif resolved.project_file is None:
        message = f"no {NAME} from here upwards: the defaults and the built-in corpora are used"
        yield Finding("project", "ok", message)
    else:
        named = f" (from {VARIABLE})" if surroundings.environ.get(VARIABLE) else ""
        config = resolved.config
        corpora, deployments = len(config.corpora), len(config.deployments)
        counted = f"{corpora} corpora, {deployments} deployment{'' if deployments == 1 else 's'}"
        yield Finding("project", "ok", f"{resolved.project_file}{named} is valid: {counted}")
