"""The command's end of the mailbox: the actor on the command's node, and what to do when the cluster is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from charpipe_pipelines.cluster.connection import disconnect, head
from charpipe_pipelines.cluster.loss import ClusterLostError, HeadWatch, cluster_lost
from charpipe_pipelines.cluster.mailbox import Json, Mailbox

CLOSING_SECONDS = 5.0


class Exchange:
    """Takes from the mailbox. Its calls raise ClusterLostError when the head of the cluster no longer answers."""

    def __init__(self, mailbox: Any, watch: HeadWatch) -> None:
        self.mailbox = mailbox
        """The actor, to send to the nodes."""
        self._watch = watch

    def take(self, name: str) -> tuple[list[Json], Json | None]:
        """See `Mailbox.take`."""
        import ray

        self._watch.check()
        found: tuple[list[Json], Json | None] = ray.get(self.mailbox.take.remote(name))
        return found

    def stop(self, name: str) -> bool:
        """See `Mailbox.stop`."""
        import ray

        begun: bool = ray.get(self.mailbox.stop.remote(name))
        return begun


@contextmanager
def open_exchange() -> Iterator[Exchange]:
    """A mailbox on this process's node, until the block ends: what is still at work then saves and stops.

    Raises ClusterLostError if the cluster is lost meanwhile; this process is not connected to it any more then."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    own: Any = ray.get_runtime_context().get_node_id()
    # a soft one may go to a node with CPUs, and be lost with it
    here = NodeAffinitySchedulingStrategy(own, soft=False)
    mailbox = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=here).remote()
    lost = False
    try:
        yield Exchange(mailbox, HeadWatch(head()))
    except ClusterLostError:
        lost = True
        raise
    except ray.exceptions.RayError as error:
        lost = True
        raise cluster_lost(error) from error
    finally:
        with suppress(Exception):  # the head, which `kill` needs, may be lost
            ray.get(mailbox.close.remote(), timeout=CLOSING_SECONDS)
        with suppress(Exception):
            ray.kill(mailbox)
        if lost:
            disconnect()
