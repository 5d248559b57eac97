"""Upload an exported folder to the Hugging Face Hub, where `huggingface_hub` is installed."""

from __future__ import annotations

import re
from pathlib import Path

from charpipe.errors import CharpipeError, UsageError, one_line
from charpipe.exports.facts import Facts

FILES = ("README.md", "config.json", "model.safetensors", "vocabulary.json")
NAME = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)


def check_hub(repository: str) -> None:
    """Raise UsageError if the name is no repository's, or `huggingface_hub` is missing: before anything is written."""
    if not NAME.fullmatch(repository):
        raise UsageError(f"{repository!r} is no repository of the Hub; give OWNER/NAME")
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "--push needs huggingface_hub, which is not installed; nothing was written; "
            "type: pip install huggingface_hub"
        ) from error


def push(folder: Path, repository: str, facts: Facts) -> str:
    """Upload the folder's four files; returns the repository's address. A new repository is private.

    Raises CharpipeError if the Hub refuses or does not answer; the folder is kept.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    api = HfApi(library_name="charpipe", library_version=facts.charpipe)
    kept = f"{folder} is kept"
    try:
        found = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=found.repo_id,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message=f"{facts.title}, exported by charpipe {facts.charpipe}",
        )
    except LocalTokenNotFoundError as error:
        raise CharpipeError(f"the Hub wants to know who you are; {kept}; type: hf auth login") from error
    except HfHubHTTPError as error:
        code = getattr(error.response, "status_code", None)
        if code == 401:
            raise CharpipeError(f"the Hub wants to know who you are; {kept}; type: hf auth login") from error
        raise CharpipeError(f"the Hub refused {repository} ({one_line(error)}); {kept}") from error
    except Exception as error:  # whatever its HTTP client raises where there is no network
        raise CharpipeError(f"the Hub cannot be reached ({one_line(error)}); {kept}") from error
    return str(found)
