"""A stage is a function that knows its name; whoever the context names carries it out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from charpipe.errors import UsageError
from charpipe.stages import Context, Stage, ingest, registered, stage, train
from charpipe.stages.network import is_network_error


class Recording:
    """An executor that notes what it is given, and carries it out here."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def run(self, stage: Stage[..., Any], context: Context, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((stage.name, args, kwargs))
        return stage.carry_out(context, *args, **kwargs)


def test_a_stage_keeps_what_its_function_says() -> None:
    assert (ingest.name, ingest.forcible) == ("ingest", True)
    assert ingest.__doc__ and ingest.__doc__.startswith("Read the corpus")
    assert registered()["ingest"] is ingest and registered()["train"] is train


def test_a_call_is_handed_to_the_executor_and_its_parts_are_not(open_context: Any) -> None:
    @stage("toy-inner", "A part.")
    def inner(context: Context, number: int) -> int:
        return number + 1

    @stage("toy-outer", "The whole.", label=lambda number, **_: f"outer of {number}")
    def outer(context: Context, number: int, *, times: int) -> int:
        return times * inner(context, number)

    executor = Recording()
    context = open_context().with_executor(executor)
    assert outer(context, 2, times=10) == 30
    assert executor.calls == [("toy-outer", (2,), {"times": 10})]
    assert outer.body(context, 2, times=1) == 3  # the plain function
    assert [name for name, *_ in executor.calls] == ["toy-outer", "toy-inner"]
    assert (outer.label(2, times=1), inner.label(2)) == ("outer of 2", "toy-inner")


def test_two_stages_of_one_name_are_refused() -> None:
    def ingest(context: Context) -> None: ...

    with pytest.raises(ValueError, match="two stages are named 'ingest'"):
        stage("ingest", "Another.")(ingest)


def test_only_registered_stages_can_be_forced(open_context: Any) -> None:
    @stage("toy-forcible", "Can be forced.", forcible=True)
    def forcible(context: Context) -> None: ...

    @stage("toy-unforcible", "Cannot be forced.")
    def unforcible(context: Context) -> None: ...

    assert "toy-forcible" in open_context(force=frozenset({"toy-forcible"})).force
    with pytest.raises(UsageError, match="no stage 'toy-unforcible' to force"):
        open_context(force=frozenset({"toy-unforcible"}))


def test_a_context_is_not_changed_by_those_who_share_it(open_context: Any) -> None:
    context = open_context()
    with pytest.raises(AttributeError):
        context.resume = None
    assert replace(context, dry_run=True).publishing is context.publishing


def test_an_error_of_the_network_is_found_beneath_others() -> None:
    refused = ConnectionRefusedError("no")
    wrapped = ValueError("cannot be fetched")
    wrapped.__cause__ = refused
    assert is_network_error(refused) and is_network_error(wrapped)
    assert not is_network_error(ValueError("wrong"))
