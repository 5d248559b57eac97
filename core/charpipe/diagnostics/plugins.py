"""A check of the plugins: which there are, the digest of their code, and which are broken."""

from __future__ import annotations

from collections.abc import Iterator

from charpipe.diagnostics.surroundings import Surroundings
from charpipe.plugins.contracts import Finding

DIGITS = 12


def plugins(surroundings: Surroundings) -> Iterator[Finding]:
    """Every plugin with the beginning of its digest, by which two machines can be compared."""
    for provider in surroundings.registry.providers():
        place = f"{provider.module} ({provider.origin})"
        if provider.problems:
            yield Finding(
                "plugins",
                "problem",
                f"the plugin {place} is broken: {provider.problems[0]}",
                "mend it or remove it; the other plugins work",
            )
        else:
            yield Finding("plugins", "ok", f"{place}, code {provider.digest()[:DIGITS]}")
