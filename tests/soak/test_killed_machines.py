"""A few kills of machines that share a store; `killed_machines.py --kills 50` does more of the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
KILLS = 4


def test_killed_machines_lose_nothing_and_promote_rightly(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killed_machines.py")
    words = [
        sys.executable,
        "-W",
        "ignore",
        str(script),
        "--kills",
        str(KILLS),
        "--folder",
        str(tmp_path / "soak"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{KILLS} killed" in done.stdout
