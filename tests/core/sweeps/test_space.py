"""The search space: how it is written, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.errors import UsageError
from charpipe.sweeps.request import check_trials, space_of
from charpipe.sweeps.settings import Setting
from charpipe.sweeps.space import Dimension, parse_space

RATE, DROPOUT, SIZE = "train.learning_rate", "architectures.lstm.dropout", "architectures.lstm.hidden_size"


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        (f"{RATE}=1e-3..1e-2:log", Dimension(RATE, low=0.001, high=0.01, log=True)),
        (f" {RATE} = 0.001 .. 0.01 ", Dimension(RATE, low=0.001, high=0.01)),
        (f"{DROPOUT}=0,0.2,0.4", Dimension(DROPOUT, (0.0, 0.2, 0.4))),
        (f"{DROPOUT}=0..0.4:0.1", Dimension(DROPOUT, low=0.0, high=0.4, step=0.1)),
        (f"{SIZE}=64..512", Dimension(SIZE, low=64, high=512, whole=True)),
        (f"{SIZE}=64..512:int", Dimension(SIZE, low=64, high=512, whole=True)),
        (f"{SIZE}=64..512:log", Dimension(SIZE, low=64, high=512, whole=True, log=True)),
        (f"{SIZE}=64..500:64", Dimension(SIZE, low=64, high=448, whole=True, step=64)),
        ("train.clip=1..5:int", Dimension("train.clip", low=1, high=5, whole=True)),
        ("train.optimizer=adam,adamw", Dimension("train.optimizer", ("adam", "adamw"))),
        (
            "architectures.lstm.tie_weights=true,false",
            Dimension("architectures.lstm.tie_weights", (True, False)),
        ),
        (
            "architectures.lstm.embedding_size=null,16",
            Dimension("architectures.lstm.embedding_size", (None, 16)),
        ),
    ],
)
def test_a_dimension_is_what_is_written(open_context: Any, text: str, dimension: Dimension) -> None:
    [found] = space_of(open_context(), "lstm", [text])
    assert found == dimension
    assert [type(choice) for choice in found.choices] == [type(choice) for choice in dimension.choices]
    assert space_of(open_context(), "lstm", [str(found)]) == (found,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "train.learning_rat=1e-3..1e-2",
            "train.learning_rat is no setting.*did you mean 'train.learning_rate'",
        ),
        ("sample.temperature=0.5,1", "it varies those of architectures.lstm and train"),
        ("architectures.gru.dropout=0,0.1", "architectures.gru.dropout is no setting that a sweep can vary"),
        ("learning_rate", "is not KEY=RANGE"),
        ("=1..2", "is not KEY=RANGE"),
        (f"{RATE}=", "is not KEY=RANGE"),
        (f"{RATE}=1e-2..1e-3", "is empty: its start must be below its end"),
        (f"{RATE}=1e-2..1e-2", "is empty"),
        (f"{DROPOUT}=0..0.5:log", "a logarithmic range must start above 0"),
        (f"{RATE}=-1..1:log", "a logarithmic range must start above 0"),
        (f"{RATE}=1..2:0.1:log", "a logarithmic range has no steps"),
        (f"{RATE}=1..2:5", "the step is larger than the range"),
        (f"{RATE}=1..2:0", "must be above 0"),
        (f"{RATE}=1..2:lgo", "'lgo' after the range of train.learning_rate is neither log, int nor a step"),
        (f"{RATE}=1..2:log:log", "too many of log, int and a step"),
        (f"{RATE}=1..2:0.1:0.2", "too many of log, int and a step"),
        (f"{RATE}=..1", "'' in the range of train.learning_rate is not a number"),
        (f"{RATE}=1...2", "not a number"),
        (f"{RATE}=a..b", "'a' in the range of train.learning_rate is not a number"),
        (f"{RATE}=1..inf", "'inf' in the range of train.learning_rate is not a number"),
        (f"{RATE}=1..200", "less than or equal to 100 (it is 200"),
        (f"{RATE}=0..1", "greater than 0 (it is 0"),
        (f"{RATE}=0.1,abc", "train.learning_rate: input should be a valid number"),
        (f"{RATE}=0.1,true", "train.learning_rate takes numbers, and true is none"),
        (f"{RATE}=0.1,,0.2", "train.learning_rate: input should be a valid number"),
        (f"{RATE}=0.1,0.10", "has the value 0.10 twice"),
        (f"{DROPOUT}=0.2", "has a single value; to fix a setting, type --set architectures.lstm.dropout=0.2"),
        (f"{DROPOUT}=0,1.5", "architectures.lstm.dropout: input should be less than 1 (it is 1.5)"),
        (f"{SIZE}=0.5..64", "takes whole numbers, and 0.5 is none"),
        (f"{SIZE}=64,96.5", "architectures.lstm.hidden_size: input should be a valid integer"),
        ("train.optimizer=a..b", "takes sgd or rmsprop or .*, which has no range; give a list"),
        ("train.optimizer=adam,adan", "train.optimizer: input should be 'sgd'"),
        (
            "train.betas=0.9,0.99",
            "train.betas cannot be varied: it is neither a number, a word nor true or false",
        ),
        ("train.steps=10..20", "train.steps cannot be varied: all trials train for the same length"),
        ("train.device=cpu,cuda", "it does not change what a model learns"),
    ],
)
def test_what_is_wrong_is_one_sentence(open_context: Any, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        space_of(open_context(), "lstm", [text])
    assert re.search(re.escape(said).replace(r"\.\*", ".*"), str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_setting_appears_once_and_nowhere_else(open_context: Any) -> None:
    with pytest.raises(UsageError, match=r"has train.learning_rate twice"):
        space_of(open_context(), "lstm", [f"{RATE}=1..2", f"{RATE}=2..3"])
    with pytest.raises(UsageError, match=r"at least one setting to vary"):
        space_of(open_context(), "lstm", [])
    fixed = open_context(train__learning_rate=0.5)  # as a flag does
    with pytest.raises(UsageError, match=r"--space varies train.learning_rate, and a flag sets it"):
        space_of(fixed, "lstm", [f"{RATE}=1..2"])
    with pytest.raises(UsageError, match=r"lstn.*did you mean 'lstm'"):
        space_of(open_context(), "lstn", [f"{RATE}=1..2"])


def test_a_grid_has_all_points_and_no_endless_range(open_context: Any) -> None:
    context = open_context()
    space = space_of(context, "lstm", [f"{DROPOUT}=0..0.4:0.1", f"{SIZE}=1..3", "train.optimizer=adam,sgd"])
    assert [len(dimension.points()) for dimension in space] == [5, 3, 2]
    assert (check_trials(space, "grid", None), check_trials(space, "grid", 7)) == (30, 7)
    assert (check_trials(space, "tpe", None), check_trials(space, "tpe", 7)) == (20, 7)
    with pytest.raises(UsageError, match=r"--sampler grid tries every value.*give a list or a step"):
        check_trials(space_of(context, "lstm", [f"{RATE}=1e-3..1e-2:log"]), "grid", None)
    large = space_of(context, "lstm", [f"{SIZE}=1..900", "architectures.lstm.embedding_size=1..900"])
    with pytest.raises(UsageError, match=r"the grid has 810,000 points"):
        check_trials(large, "grid", 5)


@given(st.floats(0.001, 10), st.floats(0.001, 10), st.booleans())
def test_any_range_survives_being_written(one: float, other: float, log: bool) -> None:
    low, high = float(f"{min(one, other):g}"), float(f"{max(one, other) + 1:g}")
    known = {"a.b": Setting("a.b", "float")}
    dimension = Dimension("a.b", low=low, high=high, log=log)
    assert parse_space([str(dimension)], known, lambda key, value: value) == (dimension,)
