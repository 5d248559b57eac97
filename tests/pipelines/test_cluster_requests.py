"""Requests for a Ray cluster, without one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from charpipe.errors import CharpipeError, UsageError
from charpipe_pipelines.cluster import connection, nodes
from charpipe_pipelines.cluster.loss import ClusterLostError, HeadWatch
from charpipe_pipelines.cluster.mailbox import Mailbox
from charpipe_pipelines.cluster.nodes import Node, Seen, room
from charpipe_pipelines.placement import check_place


def test_without_an_address_the_command_says_how_to_start_ray(open_context: Any) -> None:
    with pytest.raises(UsageError, match=r"set \[cluster\] ray = .* or start one .*`ray start --head`"):
        check_place(open_context(), "ray", None)


def test_without_ray_the_command_says_what_to_install(open_context: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'charpipe\[cluster\]'"):
        check_place(open_context(cluster__ray="auto"), "ray", None)


@pytest.mark.parametrize(
    "address", ["here", "10.0.0.1", "http://10.0.0.1:1", "user:secret@10.0.0.1:6379", ""]
)
def test_an_address_is_a_host_and_a_port(open_context: Any, address: str) -> None:
    with pytest.raises(UsageError, match=r"cluster.ray: write HOST:PORT"):
        open_context(cluster__ray=address)


def test_a_cluster_that_does_not_answer_is_one_sentence(open_context: Any) -> None:
    with pytest.raises(CharpipeError, match=r"127.0.0.1:9 does not answer \(.*\); nothing was started"):
        check_place(open_context(cluster__ray="127.0.0.1:9"), "ray", None)


def test_another_version_of_ray_is_told() -> None:
    text = "Version mismatch: The cluster was started with:\n    Ray: 2.40.0\n    Python: 3.12.1"
    told = str(connection._explained(RuntimeError(text), "10.0.0.1:6379"))
    assert "another version of Ray or Python than this process (Ray " in told and "Ray: 2.40.0" in told
    assert "\n" not in told


def test_room_is_what_fits_on_each_node(open_context: Any) -> None:
    found = [Node("a", "1", 7, 0), Node("b", "2", 4, 2), Node("c", "3", 0, 0)]
    of = lambda **settings: open_context(**settings).config.cluster  # noqa: E731
    assert room(found, of(cluster__cpus_per_training=2)) == 5
    assert room(found, of(cluster__cpus_per_training=2, cluster__gpus_per_training=1)) == 2
    assert room(found, of(cluster__cpus_per_training=1, cluster__gpus_per_training=0.5)) == 4


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (Seen("far", "0.0.1", True), "has charpipe 0.0.1, and this machine charpipe"),
        (Seen("far", "", True), "has no charpipe"),
        (
            Seen("far", "here", False),
            "does not see the workspace .*: set .store. url to a store that all machines",
        ),
        (Seen("far", "here", True), r"another machine and cannot reach this workspace's Prefect server"),
    ],
)
def test_a_node_that_cannot_work_is_refused(
    open_context: Any, monkeypatch: Any, seen: Seen, said: str
) -> None:
    monkeypatch.setattr(nodes, "version", lambda name: "here")
    monkeypatch.setattr(nodes, "living_nodes", lambda: [Node("a", "10.0.0.2", 2, 0)])
    monkeypatch.setattr(nodes, "ask", lambda asked, *_: [(asked[0], asdict(seen))])
    with pytest.raises(CharpipeError, match=said):
        nodes.check_nodes(open_context())


def test_a_mailbox_keeps_what_is_told_until_it_is_taken() -> None:
    box = Mailbox()
    assert not box.stop("late")
    assert box.begin("one", "host-a") == 1
    assert not box.post("one", [{"event": "step"}])
    assert box.take("one") == ([{"event": "step"}], None)
    assert box.begin("one", "host-b") == 2
    [notice] = box.take("one")[0]
    assert "host-a was lost" in notice["message"] and "host-b" in notice["message"]
    assert box.stop("one") and box.post("one", [])
    box.end("one", {"stopped": "saved"})
    assert box.take("one") == ([], {"stopped": "saved"})
    assert not box.post("two", [])
    box.close()
    assert box.post("two", [])


class Head:
    """A head and a clock that stand still."""

    def __init__(self) -> None:
        self.now, self.there, self.asked = 0.0, True, 0

    def answers(self, address: str) -> bool:
        self.asked += 1
        return self.there

    def watch(self) -> HeadWatch:
        return HeadWatch("10.0.0.1:6379", self.answers, lambda: self.now)


def test_a_head_that_answers_again_in_time_is_not_lost() -> None:
    head = Head()
    watch = head.watch()
    for head.now, head.there in ((5, True), (6, False), (24, False), (25, True), (26, False), (44, False)):
        watch.check()
    head.now = 46
    with pytest.raises(ClusterLostError, match=r"10.0.0.1:6379 has not answered for 21 s; what is finished"):
        watch.check()


def test_a_head_is_asked_once_a_second() -> None:
    head = Head()
    watch = head.watch()
    for head.now in (0.1, 0.9, 1.0, 1.1, 1.9, 2.0):
        watch.check()
    assert head.asked == 2


def test_a_node_with_a_workspace_of_its_own_needs_a_shared_store(
    open_context: Any, monkeypatch: Any, tmp_path: Any
) -> None:
    monkeypatch.setattr(nodes, "version", lambda name: "here")
    monkeypatch.setattr(nodes, "living_nodes", lambda: [Node("a", "10.0.0.2", 2, 0)])
    monkeypatch.setattr(nodes, "ask", lambda asked, *_: [(asked[0], asdict(Seen("far", "here", False)))])
    monkeypatch.setattr(nodes, "_is_loopback", lambda context: False)
    nodes.check_nodes(open_context(store__url=(tmp_path / "store").as_uri()))
