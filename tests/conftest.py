"""What all tests share: a project folder of their own, and no settings from the outside."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small networks gain nothing, and tests run side by side

import pytest
from hypothesis import HealthCheck, settings

from charpipe.config import load_config
from charpipe.events import Event
from charpipe.plugins.registry import Registry
from charpipe.stages import Context
from charpipe.workspace import Workspace
from charpipe_pipelines.server import managed_server
from databases import make_prefect, once
from object_storage_server import CREDENTIALS, ObjectStorageServer, skip_without_server

# In a shell's background jobs SIGINT is ignored, and programs that the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis measures the time of examples unless told otherwise, and a busy machine would fail them.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run modules with end-to-end tests first, then those with the most tests, so that no long module is left to one
    worker at the end. A module stays together, in its order."""
    modules: dict[Path, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.path, []).append(item)

    def rank(tests: list[pytest.Item]) -> tuple[bool, int]:
        return all(test.get_closest_marker("e2e") is None for test in tests), -len(tests)

    items[:] = [test for tests in sorted(modules.values(), key=rank) for test in tests]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("CHARPIPE_", "MLFLOW_", "PREFECT_")):
            monkeypatch.delenv(name)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder with a space and an umlaut in its name, which is the working directory. A Prefect server that a
    command has started there is stopped: idle, it keeps a processor busy for a twentieth of the time."""
    folder = tmp_path / "mein Prüfstand"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "pipelines.toml").write_text("")
    yield folder
    if (folder / ".charpipe" / "prefect").is_dir():
        managed_server(Workspace(folder / ".charpipe")).stop()


class Heard(list[Event]):
    """A listener that remembers; `of(kind)` are the events of a kind."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self.lock:
            self.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self if isinstance(event, kind)]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def open_context(project: Path, heard: Heard):
    """Opens contexts on one workspace, without MLflow; keyword arguments are settings with `__` for the dot."""

    def open_one(
        *, force: frozenset[str] = frozenset(), dry_run: bool = False, resume: Any = None, **settings: Any
    ) -> Context:
        given = {"tracking.enabled": False, "train.steps": 12, "train.batch_size": 4, "train.window": 8}
        given |= {"architectures.rnn.hidden_size": 8, "sample.length": 40}
        given |= {key.replace("__", "."): value for key, value in settings.items()}
        resolved = load_config(settings={key: value for key, value in given.items() if value is not None})
        return Context(
            Workspace(project / ".charpipe"),
            resolved,
            Registry(),
            emit=heard,
            force=force,
            dry_run=dry_run,
            resume=resume,
        )

    return open_one


@pytest.fixture(scope="session")
def copy_prefect(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Workspace], None]:
    """Gives a workspace the database of a Prefect server that has been started once."""
    made = once(tmp_path_factory, "prefect", make_prefect)

    def copy(workspace: Workspace) -> None:
        shutil.copytree(made, workspace.prefect, dirs_exist_ok=True)

    return copy


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorageServer]:
    """An S3 server that runs for a module, with the bucket `charpipe` and the credentials in the environment; where it
    is not installed the test is skipped, and says so."""
    skip_without_server()
    server = ObjectStorageServer(tmp_path_factory.mktemp("s3"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        server.start()
        yield server
        server.kill()


CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium that runs for a module, since its loop of events lives in this thread meanwhile; where there
    is none the test is skipped, and says so."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine (Debian, Ubuntu: apt install chromium)")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=CHROMIUM_FLAGS)
        yield opened
        opened.close()
