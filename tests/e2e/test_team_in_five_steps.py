"""The page about a team, as a reader follows it: its shell and TOML blocks from step 1 to the workers, in order, each
in a shell of its own. Only ports, folders and PostgreSQL's user are others."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from documented import ROOT, section
from object_storage_server import ObjectStorageServer, skip_without_server
from postgres_server import PostgresServer, new_postgres
from team_servers import Machine, ServerProcess, ended, flow_runs, running, running_worker

pytestmark = [pytest.mark.cluster, pytest.mark.e2e]
PAGE = ROOT / "docs" / "cluster.md"
STEPS = {
    "postgres": "Step 1: PostgreSQL",
    "storage": "Step 2: object storage",
    "mlflow": "Step 3: MLflow's server",
    "prefect": "Step 4: Prefect's server",
    "project": "Step 5: the project names them",
    "workers": "Workers on other machines",
}
PORTS = {"postgres": "55432", "storage": "8333", "mlflow": "5000", "prefect": "4200"}
PROJECT_FOLDER, WORKSPACE = "/srv/texts", "/var/lib/charpipe/workspace"
SMALL = """
[corpora.linux_src]
sources = ["texts"]
include = ["*.c"]
[train]
steps = 6
max_epochs = 0.1
batch_size = 2
window = 8
evaluate_every = 3
[sample]
length = 20
[architectures.lstm]
hidden_size = 8
"""
"""What lets the page's own deployment train for a second: `max_epochs` bounds its budget."""
PLUGIN = "plugins/my_cell.py"
SILENT = {"DO_NOT_TRACK": "true", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
"""No telemetry, and this environment's programs first."""


@dataclass(frozen=True)
class Team:
    postgres: PostgresServer
    storage: ObjectStorageServer
    mlflow: ServerProcess
    prefect: ServerProcess
    first: Machine
    second: Machine
    replaced: Mapping[str, str]

    def blocks(self, step: str) -> list[str]:
        return shell_blocks(step, self.replaced)


def shell_blocks(step: str, replaced: Mapping[str, str]) -> list[str]:
    """The shell blocks of a step with other ports and folders."""
    return [translate(text, replaced) for text in texts(step, "sh")]


def texts(step: str, language: str) -> list[str]:
    return [block.text for block in section(PAGE, STEPS[step]) if block.language == language]


def translate(text: str, replaced: Mapping[str, str]) -> str:
    """`text` with other ports and folders, replaced at once: a new port may contain an old one."""
    if not replaced:
        return text
    names = "|".join(map(re.escape, replaced))
    return re.sub(rf"(?<![\w.])({names})(?!\w)", lambda found: replaced[found[1]], text)


def exports(text: str) -> dict[str, str]:
    """The variables that a block exports."""
    return dict(re.findall(r"^export (\w+)=(.*)$", text, re.MULTILINE))


@contextmanager
def foreground_server(
    step: str, folder: Path, health: str, replaced: dict[str, str]
) -> Iterator[ServerProcess]:
    """The server that the one block of a step starts; its port is noted in `replaced`."""
    [text] = shell_blocks(step, replaced | {PORTS[step]: "{port}"})
    command = ("sh", "-ec", text)
    with running(
        ServerProcess(folder, health, *command, PREFECT_HOME=str(folder / "home"), **SILENT)
    ) as made:
        replaced[PORTS[step]] = str(made.port)
        yield made


@contextmanager
def foreground_storage(folder: Path, replaced: dict[str, str]) -> Iterator[ObjectStorageServer]:
    """The S3 server of step 2, with options for ports behind the page's."""
    folder.mkdir()
    [text] = shell_blocks("storage", replaced)
    command = ("sh", "-ec", f'PATH={SILENT["PATH"]}\n{text.rstrip()} "$@"', "sh")
    server = ObjectStorageServer(folder, command, exports(text))
    try:
        server.start()
        replaced[PORTS["storage"]] = str(server.ports["s3.port"])
        yield server
    finally:
        server.kill()


def machine(root: Path, replaced: Mapping[str, str]) -> Machine:
    """A machine with a copy of the project: what the pages say, a small text and small settings."""
    [servers], [deployment] = texts("project", "toml"), deployments()
    made = Machine(
        root,
        translate(servers, replaced) + deployment + SMALL,
        **{"PREFECT_HOME": str(root / "prefect"), **SILENT},
    )
    for name, text in {"texts/main.c": "int add(int a, int b)\n" * 200, PLUGIN: "# no hooks\n"}.items():
        (made.folder / name).parent.mkdir()
        (made.folder / name).write_text(text)
    return made


def deployments() -> list[str]:
    """The deployment that the page deploys, as the page about deployments defines it."""
    text = (ROOT / "docs" / "deployments.md").read_text()
    return re.findall(r"^```toml\n(\[deployments\.nightly-linux\]\n.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The servers of steps 1 to 4, and two machines with the project of step 5."""
    skip_without_server()
    folder = tmp_path_factory.mktemp("team")
    with ExitStack() as stack:
        postgres = stack.enter_context(new_postgres(data="db", user="charpipe"))
        replaced = {PORTS["postgres"]: str(postgres.port)}
        [text] = shell_blocks("postgres", replaced)
        postgres.run_shell(text)
        storage = stack.enter_context(foreground_storage(folder / "storage", replaced))
        mlflow = stack.enter_context(foreground_server("mlflow", folder / "mlflow", "/health", replaced))
        prefect = stack.enter_context(
            foreground_server("prefect", folder / "prefect", "/api/health", replaced)
        )
        first, second = machine(folder / "A", replaced), machine(folder / "B", replaced)
        replaced |= {PROJECT_FOLDER: str(second.folder), WORKSPACE: str(second.home)}
        yield Team(postgres, storage, mlflow, prefect, first, second, replaced)


def test_a_run_of_one_machine_is_sampled_on_another(team: Team) -> None:
    [doctor] = team.blocks("project")
    assert "no problems" in team.first.run_shell(doctor).stdout
    team.first.environ.update(exports(doctor))
    team.second.environ.update(exports(doctor))
    told = team.first.run("run", "train-and-sample", "--corpus", "linux_src", "--set", "train.seed=2")
    assert told.stderr.count("\n") == 1, told.stderr  # no warning
    assert "tracking is incomplete" not in told.stdout, told.stdout
    [run] = runs(team.first)
    sample = ("sample", run, "--length", "30", "--seed", "1")
    assert team.second.run(*sample).stdout == team.first.run(*sample).stdout
    assert team.storage.keys("mlflow/", "model.safetensors")
    assert team.storage.keys(f"team/runs/{run}/", "model.safetensors")
    assert team.postgres.query("mlflow", "select status from runs") == "FINISHED"
    named = f"select state_type from flow_run where name = '{run}'"
    assert team.postgres.query("prefect", named) == "COMPLETED"


def test_a_worker_executes_a_deployment_and_refuses_another_project(team: Team, tmp_path: Path) -> None:
    deploy, work, ask = team.blocks("workers")
    team.first.run_shell(deploy)
    with running_worker(tmp_path / "worker", "sh", "-ec", work, **SILENT):
        assert run_again(team, ask)["type"] == "COMPLETED"
        [run] = runs(team.second) - runs(team.first)
        assert team.storage.keys(f"team/runs/{run}/", "model.safetensors")
        assert "found in s3://charpipe/team" in (tmp_path / "worker" / "output").read_text()

        (team.second.folder / PLUGIN).unlink()
        settings = team.second.folder / "pipelines.toml"
        settings.write_text(settings.read_text().replace("steps = 6", "steps = 7"))
        state = run_again(team, ask)
    assert state["type"] == "FAILED"
    [shown] = texts("workers", "text")
    sentence = re.sub(r"\\\([0-9a-f]{12}\\\)", r"\\([0-9a-f]{12}\\)", re.escape(" ".join(shown.split())))
    assert re.search(sentence, state["message"]), state["message"]


def runs(machine: Machine) -> set[str]:
    """The names of the runs in a machine's workspace."""
    return {path.name for path in (machine.home / "runs").iterdir()}


def run_again(team: Team, command: str) -> dict[str, str]:
    """The state in which the run ends that a command starts."""

    def asked_for() -> set[str]:
        """The flow runs that no schedule has made."""
        return {run["id"] for run in flow_runs(team.prefect) if not run["auto_scheduled"]}

    earlier = asked_for()
    team.first.run_shell(command)
    [new] = asked_for() - earlier
    return ended(team.prefect, new)
