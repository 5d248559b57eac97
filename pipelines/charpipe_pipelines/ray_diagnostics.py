"""A check for `charpipe doctor`: the Ray cluster of `[cluster] ray`. It imports Ray only where one is named."""

from __future__ import annotations

import importlib
import importlib.util
import json
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from charpipe.diagnostics.answers import check_port
from charpipe.diagnostics.surroundings import Surroundings
from charpipe.errors import CharpipeError
from charpipe.plugin import Finding

CURRENT = Path("/tmp/ray/ray_current_cluster")  # noqa: S108  where `ray start` leaves its address
AUTO = "auto"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def ray_cluster(surroundings: Surroundings) -> Iterator[Finding]:
    """The cluster's head: whether it answers, with the version that is installed here, and asks for a token."""
    settings = getattr(surroundings.resolved and surroundings.resolved.config, "cluster", None)
    address = getattr(settings, "ray", None)
    if address is None:
        if surroundings.cluster:
            yield Finding("ray", "ok", "[cluster] ray is not set: trainings run on this machine")
        return
    if importlib.util.find_spec("ray") is None:
        message = f"[cluster] ray is {address}, but Ray is not installed here"
        yield Finding("ray", "problem", message, "type: pip install 'charpipe[cluster]'")
        return
    found = _local(surroundings) if address == AUTO else address
    if found is None:
        message = "[cluster] ray is auto, but no Ray runs on this machine"
        yield Finding("ray", "problem", message, "type: ray start --head, or set [cluster] ray to HOST:PORT")
        return
    yield from _head(found, surroundings)


def _local(surroundings: Surroundings) -> str | None:
    """The address of the cluster that this machine belongs to, as Ray itself finds it."""
    if named := surroundings.environ.get("RAY_ADDRESS"):
        return named
    try:
        return CURRENT.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def _head(address: str, surroundings: Surroundings) -> Iterator[Finding]:
    subject = f"the Ray cluster at {address}"
    try:
        check_port(address if "://" in address else f"ray://{address}", surroundings.seconds)
        theirs = None if "://" in address else _version_at(address, surroundings.seconds)
    except CharpipeError as error:
        message = f"{subject} cannot be reached ({error})"
        yield Finding("ray", "problem", message, "start it (`ray start --head`), or correct [cluster] ray")
        return
    ours = version("ray")
    if theirs is None:
        yield Finding("ray", "ok", f"{subject} answers (here: Ray {ours})")
    elif theirs == ours:
        yield Finding("ray", "ok", f"{subject} answers, with version {theirs}, as here")
    else:
        message = (
            f"{subject} has version {theirs}, and this machine {ours}: Ray does not join another version"
        )
        yield Finding("ray", "problem", message, f"type: pip install ray=={theirs}")
    yield from _authentication(address, surroundings)


def _authentication(address: str, surroundings: Surroundings) -> Iterator[Finding]:
    if surroundings.environ.get("RAY_AUTH_MODE") == "token":
        yield Finding("ray", "ok", "Ray asks for a token (RAY_AUTH_MODE=token)")
        return
    place = "" if address.rpartition(":")[0].endswith(LOOPBACK) else ", and it listens on all interfaces"
    message = f"Ray has no authentication here{place}: whoever reaches its ports runs programs as its user"
    advice = "start all its nodes with RAY_AUTH_MODE=token (docs/cluster.md), behind a firewall"
    yield Finding("ray", "warning", message, advice)


def _version_at(address: str, seconds: float) -> str | None:
    """The version of the cluster with this head; None if it does not say. Raises CharpipeError without an answer."""
    said: list[bytes | Exception | None] = []

    def look() -> None:
        try:
            raylet: Any = importlib.import_module("ray._raylet")
            client = raylet.GcsClient(address=address)
            said.append(client.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=seconds))
        except Exception as error:  # reported in the thread that waits
            said.append(error)

    thread = threading.Thread(target=look, daemon=True)  # Ray's client may try for minutes
    thread.start()
    thread.join(seconds + 15)  # importing Ray takes a while, too
    if not said:
        raise CharpipeError("its port is open, but no Ray answers there")
    if isinstance(said[0], Exception):
        raise CharpipeError(" ".join(str(said[0]).split())[:160] or type(said[0]).__name__)
    return None if said[0] is None else str(json.loads(said[0])["ray_version"])
