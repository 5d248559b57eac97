"""Recipes as Prefect flows: by which names deployments find them, and what their tasks are."""

from __future__ import annotations

import pytest

from charpipe.registry import Registry
from charpipe_pipelines.deployments.catalogue import entrypoint

NAMES = ("train-and-sample", "compare-architectures", "retrain", "reproduce-2015")


@pytest.mark.parametrize("name", NAMES)
def test_deployments_of_this_release_and_of_earlier_ones_find_the_same_flow(name: str) -> None:
    from prefect.flows import load_flow_from_entrypoint

    word = name.replace("-", "_")
    paths = (entrypoint(Registry().pipeline(name)), f"charpipe_pipelines.{word}.{word}")
    found = [load_flow_from_entrypoint(path) for path in paths]
    assert {flow.name for flow in found} == {name}
    assert [parameter for flow in found for parameter in flow.parameters.properties] == [
        "options", "settings", "workspace"
    ] * 2  # fmt: skip


def test_an_unknown_flow_is_an_attribute_error() -> None:
    from charpipe_pipelines import flows, train_and_sample

    for module in (flows, train_and_sample):
        with pytest.raises(AttributeError, match="nonesuch"):
            module.nonesuch  # noqa: B018
