"""What `charpipe.doctor()` finds in this environment, and in ones that were damaged for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import charpipe
from answering_server import answering
from charpipe.cli.app import main
from charpipe.cli.doctor import lines
from charpipe.config import load_config
from charpipe.diagnostics import Finding, Surroundings, look_around
from charpipe.diagnostics.answers import ask
from charpipe.diagnostics.credentials import credentials
from charpipe.diagnostics.shared_store import shared_store
from charpipe.diagnostics.tracking import tracking
from charpipe.diagnostics.versions import packages
from charpipe.diagnostics.workspace import mlflow_server
from charpipe.errors import CharpipeError
from charpipe.kernels.jit.processor import Processor
from charpipe.plugins.registry import Registry
from charpipe.store.backends.folder import Folder
from charpipe_pipelines.diagnostics import prefect
from postgres_server import free_port
from waiting import LIMIT

HEAVY = ("torch", "mlflow", "prefect", "pyarrow", "sqlalchemy", "ray", "obstore")


def found(check: str, level: str) -> list[Finding]:
    return [one for one in charpipe.doctor().findings if (one.check, one.level) == (check, level)]


def around(**environ: str) -> Surroundings:
    plain = look_around()
    return Surroundings(plain.workspace, Registry(), plain.resolved, environ=environ)


def test_without_servers_it_is_healthy_and_imports_nothing_heavy(project: Path) -> None:
    program = (
        "import sys, charpipe; found = charpipe.doctor(); "
        f"print([one.message for one in found.problems], [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    assert done.stdout == "[] []\n"
    assert not (project / ".charpipe").exists()  # it changes nothing


def test_every_check_says_something(project: Path) -> None:
    checks = {one.check for one in charpipe.doctor(cluster=True).findings}
    assert checks >= {"python", "packages", "processor", "threads", "gpu", "project", "plugins", "workspace"}
    assert checks >= {"servers", "tracking", "prefect", "credentials"}


def test_a_broken_plugin_is_a_problem_and_the_others_have_digests(project: Path) -> None:
    (project / "plugins").mkdir()
    (project / "plugins" / "broken_one.py").write_text("import nothing_of_this_name\n")
    [broken] = found("plugins", "problem")
    assert "the plugin broken_one" in broken.message
    assert "nothing_of_this_name" in broken.message
    assert broken.remedy == "mend it or remove it; the other plugins work"
    [lstm] = [one for one in found("plugins", "ok") if "charpipe_lstm" in one.message]
    provider = next(one for one in Registry().providers() if one.module == "charpipe_lstm")
    assert lstm.message.endswith(f"code {provider.digest()[:12]}")


def test_a_project_file_with_an_error_is_a_problem_and_the_rest_is_examined(project: Path) -> None:
    (project / "pipelines.toml").write_text("[train]\nstepps = 3\n")
    [wrong] = found("project", "problem")
    assert "did you mean 'steps'" in wrong.message
    assert found("packages", "ok")


def test_a_workspace_that_cannot_be_written_is_a_problem(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "a file").write_text("in the way")
    monkeypatch.setenv("CHARPIPE_HOME", str(project / "a file" / "workspace"))
    [problem] = found("workspace", "problem")
    assert "cannot be written" in problem.message
    assert problem.remedy == "set CHARPIPE_HOME to a writable folder"


@pytest.mark.parametrize(
    ("amx", "switch", "expected"),
    [
        ("on", "", "AVX-512, AVX512-BF16, AMX"),
        ("off", "0", "AVX-512, AVX512-BF16, AMX (not used: CHARPIPE_AMX=0 switches it off)"),
        (
            "off",
            "",
            "AVX-512, AVX512-BF16, AMX (not used: the operating system refused the use of AMX registers)",
        ),
    ],
)
def test_doctor_says_why_amx_is_not_used(
    project: Path, monkeypatch: pytest.MonkeyPatch, amx: Any, switch: str, expected: str
) -> None:
    here = Processor("any", "", 16, 32, bfloat16=True, matrices=True, amx=amx)
    refusal = "the operating system refused the use of AMX registers" if amx == "off" else None
    monkeypatch.setattr("charpipe.diagnostics.processor.this_processor", lambda: here)
    monkeypatch.setattr("charpipe.diagnostics.processor.amx_refusal", lambda: refusal)
    monkeypatch.setenv("CHARPIPE_AMX", switch)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert f"any: {expected}" in [one.message for one in found("processor", "ok")]


def test_threads_that_leave_processors_idle_are_a_warning(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    [warning] = found("threads", "warning")
    assert warning.remedy == "to train with all of them, type: unset OMP_NUM_THREADS"


def test_packages_outside_their_range_are_problems(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    def other(name: str) -> str:
        return {"prefect": "2.20.1", "numpy": "99.0"}.get(name.lower()) or version(name)

    monkeypatch.setattr("charpipe.diagnostics.versions.version", other)
    said = list(packages(around()))
    [wrong] = [one for one in said if one.level == "problem"]
    assert "prefect 2.20.1 is outside the versions that charpipe works with" in wrong.message
    assert wrong.remedy is not None
    assert wrong.remedy.startswith("type: pip install 'prefect")
    assert any(one.message.startswith("numpy 99.0 (tested: ") for one in said)


@pytest.mark.parametrize("answer", [lambda: [1], lambda: 1 / 0, lambda: sys.exit(3)])
def test_a_check_that_fails_is_a_finding(answer: Callable[[], object], project: Path) -> None:
    (project / "plugins").mkdir()
    code = (
        "from charpipe.plugin import Check, hookimpl\n"
        "@hookimpl\ndef charpipe_checks():\n    yield Check('mine', 'x', 'a_plugin_with_a_check:run')\n"
    )
    (project / "plugins" / "a_plugin_with_a_check.py").write_text(code)
    found("project", "ok")
    sys.modules["a_plugin_with_a_check"].run = lambda surroundings: answer()  # type: ignore[attr-defined]
    [failed] = found("mine", "problem")
    assert failed.message.startswith("the check 'mine' of a_plugin_with_a_check failed: ")
    del sys.modules["a_plugin_with_a_check"]


def test_a_server_that_is_not_there_is_a_problem_and_says_so_in_words(project: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    [mlflow] = tracking(around(MLFLOW_TRACKING_URI=url))
    assert mlflow.level == "problem"
    assert f"the MLflow server at {url} cannot be reached (port " in mlflow.message
    assert "connection refused" in mlflow.message
    [flows] = prefect(around(PREFECT_API_URL=f"{url}/api"))
    assert flows.level == "problem"
    assert flows.remedy == "start it, or correct PREFECT_API_URL"


def test_own_mlflow_server_is_not_told_of_beside_another(project: Path) -> None:
    [own] = mlflow_server(around())
    assert own.message == "the workspace's MLflow server is not running"
    assert not list(mlflow_server(around(MLFLOW_TRACKING_URI="http://127.0.0.1:9")))


def test_servers_of_other_versions_with_other_clocks_are_warnings(project: Path) -> None:
    answers = {
        "/version": (200, "2.1.0"),
        "/api/2.0/mlflow/experiments/search": (200, "{}"),
        "/api/health": (200, "true"),
        "/api/admin/version": (200, '"3.1.4"'),
    }
    with answering(answers, clock=timedelta(minutes=-10)) as url:
        said = [*tracking(around(MLFLOW_TRACKING_URI=url)), *prefect(around(PREFECT_API_URL=f"{url}/api"))]
    assert [one.level for one in said] == ["warning"] * 4
    assert "has version 2.1.0" in said[0].message
    assert "the clock of the MLflow server" in said[1].message
    assert "behind this machine's" in said[1].message
    assert said[2].remedy == "install one version on both, as in: pip install prefect==3.1.4"


def test_a_prefect_server_without_its_database_is_a_problem(project: Path) -> None:
    answers = {"/api/health": (200, "true"), "/api/ready": (503, ""), "/api/admin/version": (200, '"3.8.8"')}
    with answering(answers) as url:
        [flows] = prefect(around(PREFECT_API_URL=f"{url}/api"))
    assert flows.level == "problem"
    assert "answers without its database" in flows.message


def test_refused_credentials_and_a_wrong_address_are_told_apart(project: Path) -> None:
    answers = {"/version": (200, version("mlflow")), "/api/2.0/mlflow/experiments/search": (401, "")}
    with answering(answers) as url:
        [refused] = tracking(around(MLFLOW_TRACKING_URI=url, MLFLOW_TRACKING_TOKEN="geheim"))
        [no_server] = prefect(around(PREFECT_API_URL=url))
    assert "refused the credentials (HTTP 401)" in refused.message
    assert "geheim" not in str(refused)
    assert "the address of its API ends in /api" in no_server.message


def test_a_database_without_artifacts_is_a_problem(project: Path) -> None:
    [problem] = tracking(around(MLFLOW_TRACKING_URI="postgresql://ann:geheim@db.example.org/mlflow"))
    assert problem.level == "problem"
    assert "no place for models" in problem.message
    assert "geheim" not in problem.message


def test_credentials_are_listed_by_name_without_their_values(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project))
    said = list(credentials(around(AWS_ACCESS_KEY_ID="geheim", MLFLOW_TRACKING_TOKEN="geheim")))
    assert [one.level for one in said] == ["ok", "problem"]
    assert "S3: AWS_ACCESS_KEY_ID; MLflow: MLFLOW_TRACKING_TOKEN" in said[0].message
    assert said[1].remedy == "type: export AWS_SECRET_ACCESS_KEY=..."
    assert "geheim" not in str(said)


def test_the_command_prints_one_array_and_exits_by_its_problems(
    project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["doctor", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert {tuple(one) for one in said} == {("check", "level", "message", "remedy")}
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{free_port()}/api")
    assert main(["doctor"]) == 1
    text = capfd.readouterr().out
    assert "to mend it: start it, or correct PREFECT_API_URL" in text
    assert text.splitlines()[-1].startswith("1 problem, ")


def test_findings_fit_a_terminal_of_80_columns() -> None:
    finding = Finding("workspace", "warning", "word " * 40 + "/a/path/" + "x" * 20, "type this " * 12)
    shown = list(lines(finding, 11, 80))
    assert all(len(line) <= 80 for line in shown)
    assert shown[0].startswith("warning  workspace    word")
    assert [line for line in shown if "to mend it: " in line]
    assert len(list(lines(finding, 11, None))) == 2  # not wrapped where it is no terminal


def test_an_address_that_is_none_is_said_in_words() -> None:
    for url in ("http://127.0.0.1:99999/x", "http://no-such-host.invalid/x"):
        with pytest.raises(CharpipeError):
            ask(url, 1)


class Careless(Folder):
    """A store that ignores conditions, as some S3 servers do."""

    def create(self, key: str, data: bytes) -> str | None:
        super().delete([key])
        return super().create(key, data)


def stored_in(folder: Path, **store: str) -> Surroundings:
    url = f"file://{quote(str(folder))}"
    resolved = load_config(settings={"store.url": url, **store})
    return Surroundings(look_around().workspace, Registry(), resolved)


def test_a_shared_folder_is_probed_and_left_as_it_was(project: Path) -> None:
    (project / "shared").mkdir()
    said = list(shared_store(stored_in(project / "shared")))
    assert [one.level for one in said] == ["ok", "ok"]
    assert "compare-and-swap work" in said[0].message
    assert not [
        path for path in (project / "shared").rglob("*") if path.is_file() and "lock" not in path.name
    ]


def test_a_store_without_conditional_writes_is_a_problem(project: Path) -> None:
    (project / "shared").mkdir()

    class OfCareless(Registry):
        def open_store(self, config: Any) -> Careless:
            return Careless(project / "shared", config.url)

    around = replace(stored_in(project / "shared"), registry=OfCareless())
    [problem] = shared_store(around)
    assert problem.level == "problem"
    assert "has no conditional writes" in problem.message


def test_without_a_store_it_is_mentioned_only_on_request(project: Path) -> None:
    assert list(shared_store(around())) == []
    [said] = shared_store(look_around(cluster=True))
    assert said.message.startswith("[store] url is not set")
