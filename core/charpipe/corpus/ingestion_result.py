"""Whether an ingest found any text, and if not, why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.corpus.ends import EMPTY
from charpipe.errors import CharpipeError, CorpusError, NoFilesError, UsageError
from charpipe.plugin import Fetched


def check_result(
    fetched: Fetched,
    config: CorpusConfig,
    facts: dict[str, Any],
    listed: list[str],
    unchanged: Callable[[], bool],
) -> None:
    """Raise CorpusError if the source held no text or changed meanwhile; `listed` are the first rejected files."""
    if not facts["characters"]:
        kind: type[CharpipeError] = CorpusError if facts["documents"] + facts["rejected"] else NoFilesError
        if facts["rejected"] and set(facts["reasons"]) == {EMPTY.partition(":")[0]}:
            kind = UsageError  # the documents that the settings ask for would be empty
        raise kind(_nothing(fetched, facts, config, listed))
    if not unchanged():
        raise CorpusError(
            f"{fetched.origin} changed while it was read; nothing was kept. Run the command again"
        )


def _nothing(fetched: Fetched, facts: dict[str, Any], config: CorpusConfig, rejected: list[str]) -> str:
    seen = facts["documents"] + facts["rejected"]
    files = f"{seen} file{'' if seen == 1 else 's'}"
    if seen == len(rejected) == 1 and fetched.path is not None and fetched.path.is_file():
        reason = rejected[0].partition(": ")[2]
        return f"{fetched.origin} holds no text that can be read: {reason}; nothing was kept"
    reasons = ", ".join(f"{count} {reason}" for reason, count in facts["reasons"].items())
    listed = "".join(f"\n  {line}" for line in rejected)
    wanted = [*config.include, *config.split.patterns.values()]
    patterns = f" that match{'es' if seen == 1 else ''} {', '.join(wanted)}" if wanted else ""
    what = "split, include and exclude" if config.split.patterns else "include and exclude"
    return (
        f"{fetched.origin} holds no text: {files}{patterns}{f' ({reasons})' if reasons else ''}; "
        f"nothing was kept. Name another path, or change the corpus's {what}" + listed
    )
