"""The heartbeats of flow runs, and the automations that miss them. tests/e2e/test_prefect_on_postgres.py kills runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from charpipe_pipelines.deployments.registration import connect
from charpipe_pipelines.heartbeats import (
    ENVIRONMENT,
    NEVER_STARTED,
    SECONDS,
    SILENCE,
    SILENT,
    TAG,
    create_automations,
    heartbeats,
)
from charpipe_pipelines.server import become_client

pytestmark = [
    pytest.mark.e2e,
    # Prefect's, FastAPI's and websockets' own
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"
    ),
]


@pytest.fixture
def client(server: Any) -> Iterator[Any]:
    become_client(server.workspace)
    with connect(f"{server.managed.start()}/api", retries=3) as made:
        yield made


def test_flows_on_the_workspaces_own_server_send_none() -> None:
    from prefect.context import TagsContext
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY

    with heartbeats(on=False):
        assert PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() is None
        assert TAG not in TagsContext.get().current_tags
    with heartbeats(on=True):
        assert PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() == SECONDS
        assert TAG in TagsContext.get().current_tags


def test_silence_is_longer_than_several_heartbeats() -> None:
    assert timedelta(seconds=4 * SECONDS) < SILENCE
    assert {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(SECONDS)} == ENVIRONMENT


def test_automations_are_created_once_and_left_as_the_team_changed_them(client: Any) -> None:
    create_automations(client)
    [silent] = client.read_automations_by_name(SILENT)
    assert silent.trigger.match_related.root == {
        "prefect.resource.role": "tag",
        "prefect.resource.id": f"prefect.tag.{TAG}",
    }
    assert silent.trigger.within == SILENCE
    client.pause_automation(silent.id)
    create_automations(client, silence=timedelta(minutes=30))
    [kept] = client.read_automations_by_name(SILENT)
    assert (kept.id, kept.enabled, kept.trigger.within) == (silent.id, False, SILENCE)
    assert len(client.read_automations_by_name(NEVER_STARTED)) == 1
