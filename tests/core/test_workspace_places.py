"""Where the workspace is: one path however it is reached, and a home where the user has none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charpipe.workspace import find_workspace

QUESTION = """
import os
from pathlib import Path
from charpipe.workspace import find_workspace
project = Path("pipelines.toml").absolute()
os.setuid(12345)
root = find_workspace(project).root
print(Path.home().relative_to(root))
"""


@pytest.mark.parametrize("variable", [False, True])
def test_workspace_has_one_path_however_it_is_reached(
    project: Path, monkeypatch: pytest.MonkeyPatch, variable: bool
) -> None:
    (project / "inner").mkdir()
    link = project.parent / "link"
    link.symlink_to(project)
    plain = find_workspace(project / "pipelines.toml").root
    for other in (link, project / "inner" / "..", Path(f"{project}//")):
        if variable:
            monkeypatch.setenv("CHARPIPE_HOME", f"{other}/.charpipe/")
        assert find_workspace(other / "pipelines.toml").root == plain


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")
def test_user_without_a_name_and_home_gets_one_in_the_workspace(project: Path) -> None:
    done = subprocess.run([sys.executable, "-c", QUESTION], env={}, capture_output=True, text=True)
    assert done.stdout.strip() == "home", done.stderr
