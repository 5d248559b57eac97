"""Two workspaces that share a store: a corpus is ingested, counted and encoded once, and divided in one way."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import waiting
from charpipe import stages
from charpipe.config import load_config
from charpipe.events import Event, Notice, StageFinished, StageStarted
from charpipe.plugins.registry import Registry
from charpipe.stages import Context, WouldRun
from charpipe.stages.objects import StageOutput
from charpipe.workspace import Workspace
from store_machines import Flaky

WORDS = [f"{a}{b}" for a in "bcdfghklmnprst" for b in ("ana", "elo", "irtu", "os")]


def text_of(seed: int, lines: int = 300) -> str:
    """A text that has no line in common with those of other seeds."""
    generator = random.Random(seed)
    return "".join(" ".join(generator.choices(WORDS, k=8)) + f" {seed}.\n" for _ in range(lines))


class Opened:
    """One command on a machine: its context, and what it was told."""

    def __init__(self, folder: Path, url: str | None, **settings: object) -> None:
        self.heard: list[Event] = []
        given = {"tracking.enabled": False} | ({"store.url": url} if url else {})
        given |= {key.replace("__", "."): value for key, value in settings.items()}
        self.context = Context(
            Workspace(folder / ".charpipe"),
            load_config(start=folder, settings=given),
            Registry(),
            emit=self.heard.append,
        )

    def encode(self, corpus: str = "mine.txt") -> StageOutput:
        documents = stages.ingest(self.context, corpus)
        vocabulary = stages.learn_vocabulary(self.context, corpus, documents)
        return stages.encode(self.context, corpus, documents, vocabulary)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]

    def started(self) -> list[str]:
        return [event.stage for event in self.of(StageStarted)]

    def told(self) -> str:
        return "\n".join(event.message for event in self.of(Notice))

    def warnings(self) -> list[str]:
        return [event.message for event in self.of(Notice) if event.level == "warning"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return (tmp_path / "team store").as_uri()


@pytest.fixture
def machine(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Opened]:
    """Opens a command in the project of a machine, which becomes the working directory; `text` is its corpus then."""

    def opened(name: str, text: str | None = None, shares: bool = True, **settings: object) -> Opened:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "pipelines.toml").touch()
        if text is not None:
            (folder / "mine.txt").write_text(text)
        monkeypatch.chdir(folder)
        return Opened(folder, url if shares else None, **settings)

    return opened


def test_second_machine_does_none_of_it_again(
    machine: Callable[..., Opened], tmp_path: Path, url: str
) -> None:
    text = text_of(1)
    a = machine("a", text)
    made = a.encode()
    assert a.started() == ["ingest", "vocabulary", "encode"]
    shutil.rmtree(tmp_path / "a")
    b = machine("b", text)
    found = b.encode()
    assert found.digest == made.digest
    assert b.started() == []
    assert all(event.skipped for event in b.of(StageFinished))
    for stage in ("ingest", "vocabulary", "encode"):
        assert f"{stage}: found in {url}" in b.told()


def test_digests_and_files_are_those_without_a_shared_store(
    machine: Callable[..., Opened], tmp_path: Path
) -> None:
    text = text_of(1)
    alone, sharing = machine("alone", text, shares=False), machine("a", text)
    machine("alone")
    one = alone.encode()
    machine("a")
    other = sharing.encode()
    assert one.digest == other.digest
    actions = [
        {path.name for path in (tmp_path / name / ".charpipe/store/actions").iterdir()}
        for name in ("alone", "a")
    ]
    assert actions[0] == actions[1]
    found = {path.name for path in (tmp_path / "alone/.charpipe/store").iterdir()}
    assert found == {"objects", "actions", "locks", "making", "lineage"}
    lineage = (tmp_path / "alone/.charpipe/store/lineage").iterdir()
    assert set(json.loads(next(lineage).read_text())) == {"by", "salt", "documents"}


NEW = (
    "obstore",
    "boto3",
    "ray",
    "charpipe.store.shared",
    "charpipe.store.backends.folder",
    "charpipe.store.leases",
)
INGEST = f"""
import sys
from pathlib import Path
from charpipe import stages
from charpipe.config import load_config
from charpipe.plugins.registry import Registry
from charpipe.workspace import Workspace
context = stages.Context(Workspace(Path.cwd() / ".charpipe"), load_config(), Registry())
documents = stages.ingest(context, "mine.txt")
stages.encode(context, "mine.txt", documents, stages.learn_vocabulary(context, "mine.txt", documents))
print([name for name in {NEW} if name in sys.modules])
"""


def test_nothing_is_imported_without_a_shared_store(machine: Callable[..., Opened]) -> None:
    machine("alone", text_of(1), shares=False)
    answer = subprocess.run([sys.executable, "-c", INGEST], capture_output=True, text=True)
    assert (answer.stdout.strip(), answer.returncode) == ("[]", 0), answer.stderr


@pytest.mark.parametrize("by", ["auto", "contiguous"])
def test_longer_text_keeps_the_division_of_another_machine(machine: Callable[..., Opened], by: str) -> None:
    text = text_of(1)
    first = machine("a", text, corpus__split={"by": by}).encode()
    longer = machine("b", text + text_of(2, 40), corpus__split={"by": by})
    second = longer.encode()
    assert second.inputs["divided"] == first.digest
    assert "encode" in longer.started()
    third = machine("a", text + text_of(2, 40), corpus__split={"by": by})
    assert third.encode().digest == second.digest
    assert third.started() == []


def test_division_is_that_of_one_machine_that_read_all_versions(machine: Callable[..., Opened]) -> None:
    versions = [text_of(1), text_of(1) + text_of(2, 40), text_of(1) + text_of(2, 40) + text_of(3, 30)]
    alone = [machine("alone", text, shares=False).encode().digest for text in versions]
    names = ["a", "b", "c"]
    assert [machine(name, text).encode().digest for name, text in zip(names, versions, strict=True)] == alone


def test_salt_of_the_first_machine_holds(machine: Callable[..., Opened], tmp_path: Path) -> None:
    text = text_of(1)
    machine("a", text, corpus__split={"salt": "pepper"}).encode()
    b = machine("b", text)
    b.encode()
    lineage = json.loads(next((tmp_path / "b/.charpipe/store/lineage").glob("*.json")).read_text())
    assert lineage["salt"] == "pepper"
    assert b.started() == []


def test_workspace_that_was_divided_otherwise_follows_with_a_notice(machine: Callable[..., Opened]) -> None:
    text = text_of(1)
    machine("b", text, shares=False, corpus__split={"salt": "old"}).encode()
    made = machine("a", text).encode()
    b = machine("b", text)
    assert b.encode().digest == made.digest
    assert [words for words in b.warnings() if "was divided otherwise in this workspace" in words]
    again = machine("b", text)
    again.encode()
    assert not again.warnings()


@pytest.mark.parametrize(
    "split", [{"train": "9000 bytes", "val": "900 bytes"}, {"by": "files", "train": "mine*"}]
)
def test_given_splits_are_encoded_once_and_need_no_agreement(
    machine: Callable[..., Opened], split: dict[str, str]
) -> None:
    text = text_of(1)
    machine("b", text, shares=False).encode()
    made = machine("a", text, corpus__split=split).encode()
    b = machine("b", text, corpus__split=split)
    assert b.encode().digest == made.digest
    assert not [words for words in b.warnings() if "divided otherwise" in words]
    assert "encode" not in b.started()
    fractions = machine("c", text)
    assert fractions.encode().facts["split_by"] == "contiguous"


def test_corpora_of_one_name_are_kept_apart(machine: Callable[..., Opened], tmp_path: Path) -> None:
    one = machine("a", text_of(1)).encode()
    other = machine("b", text_of(7))
    other.encode()
    assert "divided" not in other.encode().inputs
    names = sorted(path.name for path in (tmp_path / "team store/lineage").iterdir())
    assert len(names) == 2 and names[1].removesuffix(".json").endswith("~2")
    longer = machine("b", text_of(7) + text_of(8, 20)).encode()
    assert longer.inputs["divided"] != one.digest
    c = machine("c", text_of(7))
    c.encode()
    assert c.started() == []
    assert sorted(path.name for path in (tmp_path / "team store/lineage").iterdir()) == names


def test_second_machine_waits_until_the_first_has_divided_the_corpus(
    machine: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """B encodes a longer version while A encodes the corpus for the first time."""
    from charpipe import text as texts

    real, blocked, go, made = texts.encode, threading.Event(), threading.Event(), []

    def slow(*words: object, **more: object):
        if threading.current_thread() is worker:
            blocked.set()
            go.wait(waiting.LIMIT)
        return real(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(texts, "encode", slow)
    a, b = machine("a", text_of(1)), machine("b", text_of(1) + text_of(2, 40))
    worker = threading.Thread(target=lambda: made.append(a.encode(str(tmp_path / "a/mine.txt"))))
    worker.start()
    blocked.wait(waiting.LIMIT)
    heard = b.context.emit

    def listen(event: Event) -> None:
        heard(event)
        if isinstance(event, Notice) and "which divides ./mine.txt" in event.message:
            go.set()

    b.context = replace(b.context, emit=listen)
    later = b.encode(str(tmp_path / "b/mine.txt"))
    worker.join()
    assert later.inputs["divided"] == made[0].digest


def test_dry_run_pulls_and_writes_nothing(machine: Callable[..., Opened], tmp_path: Path, url: str) -> None:
    text = text_of(1)
    machine("a", text).encode()
    before = sorted((tmp_path / "team store").rglob("*.json"))
    b = machine("b", text)
    b.context = replace(b.context, dry_run=True)
    with pytest.raises(WouldRun, match=r"ingest: would pull \(it is in file://"):
        b.encode()
    assert not list((tmp_path / "b/.charpipe/store").glob("objects/*"))
    assert sorted((tmp_path / "team store").rglob("*.json")) == before


def test_store_that_is_down_from_the_start_is_told_once_and_filled_later(
    machine: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, opened = text_of(1), Registry.open_store
    flaky: list[Flaky] = []

    def broken(self: Registry, config: object):
        flaky.append(Flaky(opened(self, config)))  # type: ignore[arg-type]
        flaky[-1].is_down = True
        return flaky[-1]

    monkeypatch.setattr(Registry, "open_store", broken)
    a = machine("a", text)
    made = a.encode()
    assert len(a.warnings()) == 1
    assert a.told().count("kept on this machine; the next command pushes it") == 3
    monkeypatch.setattr(Registry, "open_store", opened)
    again = machine("a", text)
    assert again.encode().digest == made.digest
    assert "pushed 2 results of earlier commands" in again.told()
    b = machine("b", text)
    assert b.encode().digest == made.digest
    assert b.started() == []


def test_text_that_was_divided_while_the_store_was_down_gives_way(
    machine: Callable[..., Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Registry.open_store

    def broken(self: Registry, config: object):
        flaky = Flaky(opened(self, config))  # type: ignore[arg-type]
        flaky.is_down = True
        return flaky

    longer = text_of(1) + text_of(2, 40)
    monkeypatch.setattr(Registry, "open_store", broken)
    alone = machine("a", longer).encode()
    monkeypatch.setattr(Registry, "open_store", opened)
    first = machine("b", text_of(1)).encode()
    a = machine("a", longer)
    again = a.encode()
    assert again.inputs["divided"] == first.digest != alone.digest
    assert [words for words in a.warnings() if "is made again" in words]


def test_names_of_this_machine_are_in_no_record(machine: Callable[..., Opened], tmp_path: Path) -> None:
    machine("a", text_of(1)).encode()
    shared = tmp_path / "team store"
    for path in shared.rglob("*.json"):
        if "leases" not in path.parts:
            assert str(tmp_path).encode() not in path.read_bytes(), path
    leases = [path.read_text() for path in (shared / "leases").rglob("*.json")]
    assert leases and all(socket.gethostname() in text for text in leases)


def test_store_in_the_folder_of_the_corpus_is_no_part_of_it(
    machine: Callable[..., Opened], tmp_path: Path
) -> None:
    a = machine("a", text_of(1))
    inside = (tmp_path / "a" / "team").as_uri()
    (tmp_path / "a" / "more.txt").write_text(text_of(2))
    a = Opened(tmp_path / "a", inside)
    documents = stages.ingest(a.context, ".")
    assert documents.facts["documents"] == 3  # mine.txt, more.txt, pipelines.toml
    again = Opened(tmp_path / "a", inside)
    assert stages.ingest(again.context, ".").digest == documents.digest
    assert again.started() == []
