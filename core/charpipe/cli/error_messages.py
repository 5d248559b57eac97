"""What the user sees of an error: a sentence and the right exit code; the traceback goes to the log file."""

from __future__ import annotations

import contextlib
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from charpipe.config.files import find_project_file
from charpipe.errors import CharpipeError, InterruptedRun
from charpipe.store.secrets import redact, without_secret
from charpipe.workspace import find_workspace


def report(error: BaseException, *, debug: bool) -> int:
    """Print `error` for a person and return the exit code."""
    if debug:
        sys.stderr.write(redact("".join(traceback.format_exception(error))))
    if isinstance(error, BrokenPipeError):
        return 1
    if isinstance(error, KeyboardInterrupt):
        print("charpipe: interrupted", file=sys.stderr)  # noqa: T201
        return 130
    if isinstance(error, InterruptedRun):
        print(redact(f"charpipe: {error}"), file=sys.stderr)  # noqa: T201
        return error.exit_code
    log = _log(error)
    if isinstance(error, CharpipeError):
        print(redact(f"charpipe: {error}"), file=sys.stderr)  # noqa: T201
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        print(redact(f"charpipe: {named}{error.strerror}; what was done before is kept"), file=sys.stderr)  # noqa: T201
        return 1
    where = f"; the traceback is in {log}" if log else ""
    hint = "" if debug else " (or add --debug)"
    print(redact(f"charpipe: {type(error).__name__}: {error}{where}{hint}"), file=sys.stderr)  # noqa: T201
    return 1


def _log(error: BaseException) -> Path | None:
    with contextlib.suppress(OSError, CharpipeError):
        root = find_workspace(find_project_file()).root
        if not root.is_dir():
            return None
        path = root / "logs" / "charpipe.log"
        path.parent.mkdir(exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            words = redact(" ".join(map(without_secret, sys.argv[1:])))
            file.write(f"--- {datetime.now(UTC).isoformat(timespec='seconds')} {words}\n")
            file.write(redact("".join(traceback.format_exception(error))))
        return path
    return None
