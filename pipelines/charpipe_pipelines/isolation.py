"""Runs Prefect with charpipe's settings only: the user's own Prefect settings are for the user's own flows.

Prefect reads its settings from PREFECT_ variables, from `.env`, `prefect.toml` and `pyproject.toml` in the working
directory, and from a profile in the home directory. Of these charpipe passes on the variables in `HONOURED`, and
reads no file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

HONOURED = (
    "PREFECT_API_URL",
    "PREFECT_API_KEY",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_API_SSL_CERT_FILE",
    "PREFECT_API_TLS_INSECURE_SKIP_VERIFY",
)
"""What says which server is meant and how to log in there; docs/environment.md lists them."""
FILES = (
    "FilteredDotEnvSettingsSource",
    "PrefectTomlConfigSettingsSource",
    "PyprojectTomlConfigSettingsSource",
    "ProfileSettingsTomlLoader",
)


def isolate(environ: MutableMapping[str, str], home: Path) -> None:
    """Remove the user's other PREFECT_ variables from `environ`, and set the profiles' path to `home`."""
    for name in [name for name in environ if name.upper().startswith("PREFECT_")]:
        if name not in HONOURED:
            del environ[name]
    environ["PREFECT_HOME"] = str(home)
    environ["PREFECT_PROFILES_PATH"] = str(home / "profiles.toml")


def read_no_files() -> None:
    """Make Prefect, not imported yet, read its settings from the environment only."""
    if "prefect" in sys.modules:
        return
    from pydantic_settings import BaseSettings

    before = BaseSettings.__dict__.get("__pydantic_init_subclass__")

    def on_subclass(cls: type[Any], /, **_: Any) -> None:
        if cls.__module__.startswith("prefect."):
            cls.model_config["env_file"] = None
        if (cls.__module__, cls.__name__) == ("prefect.settings.base", "PrefectBaseSettings"):
            setattr(sys.modules["prefect.settings.sources"], "_read_toml_file", lambda path: {})  # noqa: B010
            for name in FILES:
                setattr(sys.modules[cls.__module__], name, _nothing())

    setattr(BaseSettings, "__pydantic_init_subclass__", classmethod(on_subclass))  # noqa: B010
    try:
        import prefect.settings.base  # noqa: F401
    finally:
        if before is None:
            delattr(BaseSettings, "__pydantic_init_subclass__")
        else:
            setattr(BaseSettings, "__pydantic_init_subclass__", before)  # noqa: B010


def _nothing() -> type[Any]:
    """A source of settings that is empty."""
    from pydantic_settings import PydanticBaseSettingsSource

    class Nothing(PydanticBaseSettingsSource):
        def __init__(self, settings_cls: Any, *_: Any, **__: Any) -> None:
            super().__init__(settings_cls)

        def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
            return None, field_name, False

        def __call__(self) -> dict[str, Any]:
            return {}

    return Nothing


def forget_user_files(home: str | os.PathLike[str]) -> None:
    """Apply `isolate` to this process, and call `read_no_files`."""
    isolate(os.environ, Path(home))
    read_no_files()
