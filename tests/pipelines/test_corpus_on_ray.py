"""Nodes of a Ray cluster read and encode a corpus: a head without CPUs and two nodes on this host."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import golden_corpora
from charpipe import stages
from charpipe.errors import CharpipeError, InterruptedRun
from charpipe.events import Notice
from charpipe.stages import Context
from charpipe_pipelines.cluster import corpus_map
from charpipe_pipelines.cluster.connection import connect
from charpipe_pipelines.cluster.corpus_map import RayMap
from charpipe_pipelines.cluster.nodes import Node, ask, living_nodes, marked
from charpipe_pipelines.placement import spread
from ray_cluster import MARKS, RayCluster, ray_cluster

pytestmark = MARKS
Open = Callable[..., Context]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """The cluster, for this module; this process leaves it at the end."""
    with ray_cluster() as made:
        yield made


@pytest.fixture
def open_one(open_context: Open, cluster: RayCluster) -> Open:
    def opened(**settings: Any) -> Context:
        context = open_context(cluster__ray=cluster.address, corpus__processes=2, **settings)
        connect(context.config.cluster)
        return context

    return opened


def objects(context: Context, corpus: Path) -> list[str]:
    """The digests of what the stages make of a corpus, each made anew."""
    documents = stages.ingest(context, str(corpus))
    vocabulary = stages.learn_vocabulary(context, str(corpus), documents)
    tokens = stages.encode(context, str(corpus), documents, vocabulary)
    assert [documents.reused, vocabulary.reused, tokens.reused] == [False] * 3
    return [documents.digest, vocabulary.digest, tokens.digest]


def texts(folder: Path) -> Path:
    folder.mkdir()
    for at in range(150):
        (folder / f"{at}.txt").write_text(f"document {at} é\n" * (at % 5))
    return folder


def test_nodes_make_the_objects_that_this_machine_makes(open_one: Open, project: Path, heard: Any) -> None:
    archive = project / "texts.tar"
    with tarfile.open(archive, "w") as written:
        written.add(texts(project / "texts"), "texts")
    context = open_one()
    here = objects(context, archive)
    context.workspace.store.rename(context.workspace.root / "made-here")
    assert objects(spread(context, "ray"), archive) == here
    assert not [one.message for one in heard.of(Notice) if "this machine alone" in one.message]


def test_node_that_is_lost_meanwhile_is_left_out(open_one: Open, tmp_path: Path) -> None:
    """Ray lists a node for some seconds after it died; this one it does not know."""
    open_one()
    lost, there = Node("0f" * 28, "192.0.2.9", 1.0, 0.0), [node for node in living_nodes() if node.cpus]
    found = ask([lost, *there], corpus_map.look, str(tmp_path), ())
    assert [node for node, _ in found] == there and all(seen["readers"] for _, seen in found)
    with pytest.raises(CharpipeError, match="all nodes of the Ray cluster were lost"):
        ask([lost], corpus_map.look, str(tmp_path), ())


@pytest.mark.parametrize("name", ["folder", "many", "large-tar"])
def test_nodes_make_the_recorded_objects(name: str, open_one: Open, tmp_path: Path) -> None:
    open_one()
    alone = dict(golden_corpora.digests(name, tmp_path / "one"))
    with marked(tmp_path) as mark, RayMap(2, mark) as calls:
        assert dict(golden_corpora.digests(name, tmp_path / "two", calls)) == alone


def test_calls_go_to_all_nodes_and_raise_what_they_raise(open_one: Open, tmp_path: Path) -> None:
    open_one()
    with marked(tmp_path) as mark, RayMap(2, mark) as calls:
        assert len(set(calls.map(os.getppid, [{}] * 12))) == 2
        with pytest.raises(FileNotFoundError, match="/not/there"):
            list(calls.map(os.stat, [{"path": "/not/there"}]))
        with pytest.raises(CharpipeError, match="TypeError: "):
            list(calls.map(os.stat, [{}]))


def test_calls_that_nobody_waits_for_end_with_the_block(open_one: Open, tmp_path: Path) -> None:
    """Calls that complete at any moment of the ending, many times: none may be lost to Ray's own checks."""
    open_one()
    for taken in [0, 1, 2, 3] * 25:
        with marked(tmp_path) as mark, RayMap(2, mark) as calls:
            results = calls.map(os.getppid, [{}] * 12)
            assert all(next(results) for _ in range(taken))
        assert not mark.exists()


def test_a_call_begins_only_while_the_mark_exists(tmp_path: Path) -> None:
    mark, made = tmp_path / "mark", tmp_path / "made"
    corpus_map.call("os:mkdir", {"path": str(made)}, str(mark))
    assert not made.exists()
    mark.touch()
    corpus_map.call("os:mkdir", {"path": str(made)}, str(mark))
    assert made.is_dir()


def test_a_folder_outside_the_workspace_is_read_here(open_one: Open, project: Path, heard: Any) -> None:
    corpus = texts(project / "texts")
    objects(spread(open_one(), "ray"), corpus)
    told = [one.message for one in heard.of(Notice) if "this machine alone" in one.message]
    assert told == [
        f"the Ray nodes do not read {corpus}, which is outside the workspace, so this machine alone does it"
    ]


def test_nodes_that_do_not_see_the_workspace_get_no_part(
    open_one: Open, project: Path, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All nodes of this test are on this host, and see everything: they are asked for a file that is not there."""
    monkeypatch.setattr(
        corpus_map, "marked", lambda root: nullcontext(root / "cluster" / "of another machine")
    )
    objects(spread(open_one(), "ray"), texts(project / "texts"))
    told = [one.message for one in heard.of(Notice) if "this machine alone" in one.message]
    assert len(told) == 1 and "does not see the workspace" in told[0]


def test_an_interruption_ends_the_calls(open_one: Open, project: Path) -> None:
    context = open_one()
    context.stop.request(2)
    archive = project / "texts.tar"
    with tarfile.open(archive, "w") as written:
        written.add(texts(project / "texts"), "texts")
    with pytest.raises(InterruptedRun, match="stopped while it worked on ingest"):
        stages.ingest(spread(context, "ray"), str(archive))
    assert not list((context.workspace.store / "making").iterdir())


def test_an_interruption_of_encode_leaves_nothing(open_one: Open, project: Path) -> None:
    context, corpus = open_one(), str(texts(project / "texts"))
    documents = stages.ingest(context, corpus)
    vocabulary = stages.learn_vocabulary(context, corpus, documents)
    context.stop.request(2)
    with pytest.raises(InterruptedRun, match="stopped while it worked on encode"):
        stages.encode(spread(context, "ray"), corpus, documents, vocabulary)
    assert not list((context.workspace.store / "making").iterdir())
