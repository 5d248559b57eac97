"""The names of registered models in MLflow: one model per corpus, found again by its tag."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from charpipe.config.identity import called
from charpipe.errors import UsageError
from charpipe.store.digest import digest_of_json
from charpipe.tracking.metadata import CORPUS_TAG

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

PAGE = 500
"""Registered models requested per page."""


def model_name(corpus: str, owner: str = "") -> str:
    """The name of a corpus's registered model, such as `charpipe-linux_src`. The name ends with a digest if it had to
    be altered to be legal, or if it is for an `owner` (a workspace, when another one has the plain name)."""
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", corpus)[:100]
    if plain == corpus and not owner and not re.search(r"-[0-9a-f]{10}$", corpus):
        return f"charpipe-{plain}"
    return f"charpipe-{plain}-{digest_of_json([corpus, owner])[:10]}"


def earlier_model_name(corpus: str) -> str:
    """The name in charpipe 0.1: the same for several corpora, and used only if its tags say that it is ours."""
    return "charpipe-" + re.sub(r"[^\w-]", "_", corpus)


def registered_name(client: MlflowClient, wanted: str) -> str:
    """The registered model of a corpus, by its tag (the full identity, or an unambiguous short form), or by its own
    name. Raises UsageError if there are several."""
    there = _tagged(client)
    meant = {wanted} if wanted in there.values() else set(called(wanted, there.values()))
    found = [name for name, corpus in there.items() if name == wanted or corpus in meant]
    if len(found) > 1:
        several = "workspaces have a champion of" if len(meant) == 1 else "corpora may be meant by"
        listed = ", ".join(f"champion:{there[name] if len(meant) > 1 else name}" for name in sorted(found))
        raise UsageError(f"{len(found)} {several} {wanted!r} there; type one of: {listed}")
    if found:
        return found[0]
    return wanted if wanted.startswith("charpipe-") else model_name(wanted)


def _tagged(client: MlflowClient) -> dict[str, str]:
    """The registered models created by charpipe: a mapping from name to corpus."""
    found: dict[str, str] = {}
    token = None
    while True:
        page = client.search_registered_models(
            f"tags.`{CORPUS_TAG}` LIKE '%'", max_results=PAGE, page_token=token
        )
        found |= {one.name: one.tags[CORPUS_TAG] for one in page}
        token = page.token
        if not token:
            return found
