"""Run all checks, charpipe's own and those of plugins; one that fails becomes a finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from charpipe.diagnostics.surroundings import Surroundings
from charpipe.errors import one_line
from charpipe.plugins.contracts import Finding
from charpipe.plugins.references import resolve
from charpipe.plugins.registry import Provided
from charpipe.store.secrets import redact


@dataclass(frozen=True)
class Diagnosis:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What keeps charpipe, or a server that the settings name, from working."""
        return tuple(finding for finding in self.findings if finding.level == "problem")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What works, but not as it should."""
        return tuple(finding for finding in self.findings if finding.level == "warning")


def examine(surroundings: Surroundings) -> Diagnosis:
    """The findings of every check."""
    registry = surroundings.registry
    found = [finding for one in registry.provided("check") for finding in _findings(one, surroundings)]
    found += [Finding("plugins", "problem", text) for text in registry.conflicts("check").values()]
    return Diagnosis(tuple(found))


def _findings(provided: Provided, surroundings: Surroundings) -> Iterator[Finding]:
    check = provided.spec
    try:
        for finding in resolve(check.run)(surroundings):
            if not isinstance(finding, Finding):
                raise TypeError(f"it gave a {type(finding).__name__} instead of a Finding")
            yield finding
    except (Exception, SystemExit) as error:
        reason = redact(one_line(error)) if isinstance(error, Exception) else "it ended the process"
        yield Finding(
            check.name,
            "problem",
            f"the check {check.name!r} of {provided.provider.module} failed: {reason}",
            f"mend or remove that plugin ({provided.provider.origin})",
        )
